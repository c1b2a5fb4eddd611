# Completion of gencli for bash, made from its commands.
_gencli() {
  local IFS=' ' current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  local given=" ${COMP_WORDS[*]:0:COMP_CWORD} " path=gencli names word files=
  local -a words=() once=() again=()
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
    "gencli data" | "gencli data cifar10" | "gencli data cifar100" | "gencli data mnist" | "gencli data fashion-mnist" | "gencli data svhn" | "gencli data digits" | "gencli data export" | "gencli data folder" | "gencli data parquet" | "gencli data repeat" | "gencli data show" | "gencli data synthetic" | "gencli data synthetic gaussian-clusters" | "gencli data synthetic two-moons" | "gencli data synthetic noise" | "gencli corrupt" | "gencli corrupt random-labels" | "gencli corrupt flip-labels" | "gencli corrupt pair-labels" | "gencli corrupt matrix-labels" | "gencli corrupt permute-labels" | "gencli corrupt shuffled-pixels" | "gencli corrupt random-pixels" | "gencli corrupt gaussian-pixels" | "gencli corrupt gaussian-noise" | "gencli corrupt poisson-noise" | "gencli corrupt impulse-noise" | "gencli corrupt text-overlay" | "gencli corrupt long-tail" | "gencli corrupt step-imbalance" | "gencli corrupt subsample" | "gencli corrupt common" | "gencli train" | "gencli eval" | "gencli report") path+=" $word" ;;
    esac
  done
  if [[ $current == = ]]; then  # readline splits --option=value in three
    current=
  elif [[ $previous == = ]]; then
    previous=${COMP_WORDS[COMP_CWORD-2]}
  fi
  case "$path $previous" in
  "gencli data cifar10 --split") words=(train test) ;;
  "gencli data cifar10 --root") return ;;
  "gencli data cifar10 --classes") ;;
  "gencli data cifar10 --sample") ;;
  "gencli data cifar10 --seed") ;;
  "gencli data cifar10 --limit") ;;
  "gencli data cifar10 -o" | "gencli data cifar10 --output") return ;;
  "gencli data cifar10 --threads") ;;
  "gencli data cifar10 --color") words=(auto always never) ;;
  "gencli data cifar100 --split") words=(train test) ;;
  "gencli data cifar100 --root") return ;;
  "gencli data cifar100 --classes") ;;
  "gencli data cifar100 --sample") ;;
  "gencli data cifar100 --seed") ;;
  "gencli data cifar100 --limit") ;;
  "gencli data cifar100 -o" | "gencli data cifar100 --output") return ;;
  "gencli data cifar100 --threads") ;;
  "gencli data cifar100 --color") words=(auto always never) ;;
  "gencli data mnist --split") words=(train test) ;;
  "gencli data mnist --root") return ;;
  "gencli data mnist --classes") ;;
  "gencli data mnist --sample") ;;
  "gencli data mnist --seed") ;;
  "gencli data mnist --limit") ;;
  "gencli data mnist -o" | "gencli data mnist --output") return ;;
  "gencli data mnist --threads") ;;
  "gencli data mnist --color") words=(auto always never) ;;
  "gencli data fashion-mnist --split") words=(train test) ;;
  "gencli data fashion-mnist --root") return ;;
  "gencli data fashion-mnist --classes") ;;
  "gencli data fashion-mnist --sample") ;;
  "gencli data fashion-mnist --seed") ;;
  "gencli data fashion-mnist --limit") ;;
  "gencli data fashion-mnist -o" | "gencli data fashion-mnist --output") return ;;
  "gencli data fashion-mnist --threads") ;;
  "gencli data fashion-mnist --color") words=(auto always never) ;;
  "gencli data svhn --split") words=(train test extra) ;;
  "gencli data svhn --root") return ;;
  "gencli data svhn --classes") ;;
  "gencli data svhn --sample") ;;
  "gencli data svhn --seed") ;;
  "gencli data svhn --limit") ;;
  "gencli data svhn -o" | "gencli data svhn --output") return ;;
  "gencli data svhn --threads") ;;
  "gencli data svhn --color") words=(auto always never) ;;
  "gencli data digits --split") words=(train test) ;;
  "gencli data digits --classes") ;;
  "gencli data digits --sample") ;;
  "gencli data digits --seed") ;;
  "gencli data digits --limit") ;;
  "gencli data digits -o" | "gencli data digits --output") return ;;
  "gencli data digits --threads") ;;
  "gencli data digits --color") words=(auto always never) ;;
  "gencli data export --encode") words=(png) ;;
  "gencli data export --folder") return ;;
  "gencli data export -o" | "gencli data export --output") return ;;
  "gencli data export --threads") ;;
  "gencli data export --color") words=(auto always never) ;;
  "gencli data folder --size") ;;
  "gencli data folder --crop") ;;
  "gencli data folder --mode") words=(gray rgb) ;;
  "gencli data folder --name") ;;
  "gencli data folder --split") ;;
  "gencli data folder --classes") ;;
  "gencli data folder --sample") ;;
  "gencli data folder --seed") ;;
  "gencli data folder --limit") ;;
  "gencli data folder -o" | "gencli data folder --output") return ;;
  "gencli data folder --threads") ;;
  "gencli data folder --color") words=(auto always never) ;;
  "gencli data parquet --name") ;;
  "gencli data parquet --split") ;;
  "gencli data parquet --label") ;;
  "gencli data parquet --mode") words=(gray rgb) ;;
  "gencli data parquet --size") ;;
  "gencli data parquet --crop") ;;
  "gencli data parquet --shape") ;;
  "gencli data parquet --classes") ;;
  "gencli data parquet --sample") ;;
  "gencli data parquet --seed") ;;
  "gencli data parquet --limit") ;;
  "gencli data parquet -o" | "gencli data parquet --output") return ;;
  "gencli data parquet --threads") ;;
  "gencli data parquet --color") words=(auto always never) ;;
  "gencli data repeat --times") ;;
  "gencli data repeat -o" | "gencli data repeat --output") return ;;
  "gencli data repeat --threads") ;;
  "gencli data repeat --color") words=(auto always never) ;;
  "gencli data show --sheet") return ;;
  "gencli data show --columns") ;;
  "gencli data show --format") words=(table parquet csv json md) ;;
  "gencli data show -o" | "gencli data show --output") return ;;
  "gencli data show --threads") ;;
  "gencli data show --color") words=(auto always never) ;;
  "gencli data synthetic gaussian-clusters --rows") ;;
  "gencli data synthetic gaussian-clusters --size") ;;
  "gencli data synthetic gaussian-clusters --split") ;;
  "gencli data synthetic gaussian-clusters --classes") ;;
  "gencli data synthetic gaussian-clusters --separation") ;;
  "gencli data synthetic gaussian-clusters --seed") ;;
  "gencli data synthetic gaussian-clusters -o" | "gencli data synthetic gaussian-clusters --output") return ;;
  "gencli data synthetic gaussian-clusters --threads") ;;
  "gencli data synthetic gaussian-clusters --color") words=(auto always never) ;;
  "gencli data synthetic two-moons --rows") ;;
  "gencli data synthetic two-moons --size") ;;
  "gencli data synthetic two-moons --split") ;;
  "gencli data synthetic two-moons --noise") ;;
  "gencli data synthetic two-moons --seed") ;;
  "gencli data synthetic two-moons -o" | "gencli data synthetic two-moons --output") return ;;
  "gencli data synthetic two-moons --threads") ;;
  "gencli data synthetic two-moons --color") words=(auto always never) ;;
  "gencli data synthetic noise --rows") ;;
  "gencli data synthetic noise --size") ;;
  "gencli data synthetic noise --split") ;;
  "gencli data synthetic noise --classes") ;;
  "gencli data synthetic noise --seed") ;;
  "gencli data synthetic noise -o" | "gencli data synthetic noise --output") return ;;
  "gencli data synthetic noise --threads") ;;
  "gencli data synthetic noise --color") words=(auto always never) ;;
  "gencli corrupt random-labels -p") ;;
  "gencli corrupt random-labels --seed") ;;
  "gencli corrupt random-labels --shard") ;;
  "gencli corrupt random-labels -o" | "gencli corrupt random-labels --output") return ;;
  "gencli corrupt random-labels --threads") ;;
  "gencli corrupt random-labels --color") words=(auto always never) ;;
  "gencli corrupt flip-labels -p") ;;
  "gencli corrupt flip-labels --seed") ;;
  "gencli corrupt flip-labels --shard") ;;
  "gencli corrupt flip-labels -o" | "gencli corrupt flip-labels --output") return ;;
  "gencli corrupt flip-labels --threads") ;;
  "gencli corrupt flip-labels --color") words=(auto always never) ;;
  "gencli corrupt pair-labels -p") ;;
  "gencli corrupt pair-labels --pairs") ;;
  "gencli corrupt pair-labels --seed") ;;
  "gencli corrupt pair-labels --shard") ;;
  "gencli corrupt pair-labels -o" | "gencli corrupt pair-labels --output") return ;;
  "gencli corrupt pair-labels --threads") ;;
  "gencli corrupt pair-labels --color") words=(auto always never) ;;
  "gencli corrupt matrix-labels --matrix") return ;;
  "gencli corrupt matrix-labels --seed") ;;
  "gencli corrupt matrix-labels --shard") ;;
  "gencli corrupt matrix-labels -o" | "gencli corrupt matrix-labels --output") return ;;
  "gencli corrupt matrix-labels --threads") ;;
  "gencli corrupt matrix-labels --color") words=(auto always never) ;;
  "gencli corrupt permute-labels --seed") ;;
  "gencli corrupt permute-labels --shard") ;;
  "gencli corrupt permute-labels -o" | "gencli corrupt permute-labels --output") return ;;
  "gencli corrupt permute-labels --threads") ;;
  "gencli corrupt permute-labels --color") words=(auto always never) ;;
  "gencli corrupt shuffled-pixels --channels") words=(together apart) ;;
  "gencli corrupt shuffled-pixels --seed") ;;
  "gencli corrupt shuffled-pixels --shard") ;;
  "gencli corrupt shuffled-pixels -o" | "gencli corrupt shuffled-pixels --output") return ;;
  "gencli corrupt shuffled-pixels --threads") ;;
  "gencli corrupt shuffled-pixels --color") words=(auto always never) ;;
  "gencli corrupt random-pixels --channels") words=(together apart) ;;
  "gencli corrupt random-pixels --seed") ;;
  "gencli corrupt random-pixels --shard") ;;
  "gencli corrupt random-pixels -o" | "gencli corrupt random-pixels --output") return ;;
  "gencli corrupt random-pixels --threads") ;;
  "gencli corrupt random-pixels --color") words=(auto always never) ;;
  "gencli corrupt gaussian-pixels --statistics") return ;;
  "gencli corrupt gaussian-pixels --seed") ;;
  "gencli corrupt gaussian-pixels --shard") ;;
  "gencli corrupt gaussian-pixels -o" | "gencli corrupt gaussian-pixels --output") return ;;
  "gencli corrupt gaussian-pixels --threads") ;;
  "gencli corrupt gaussian-pixels --color") words=(auto always never) ;;
  "gencli corrupt gaussian-noise --on") words=(image target both) ;;
  "gencli corrupt gaussian-noise --dtype") words=(uint8 float32) ;;
  "gencli corrupt gaussian-noise --sigma") ;;
  "gencli corrupt gaussian-noise --seed") ;;
  "gencli corrupt gaussian-noise --shard") ;;
  "gencli corrupt gaussian-noise -o" | "gencli corrupt gaussian-noise --output") return ;;
  "gencli corrupt gaussian-noise --threads") ;;
  "gencli corrupt gaussian-noise --color") words=(auto always never) ;;
  "gencli corrupt poisson-noise --on") words=(image target both) ;;
  "gencli corrupt poisson-noise --dtype") words=(uint8 float32) ;;
  "gencli corrupt poisson-noise --peak") ;;
  "gencli corrupt poisson-noise --seed") ;;
  "gencli corrupt poisson-noise --shard") ;;
  "gencli corrupt poisson-noise -o" | "gencli corrupt poisson-noise --output") return ;;
  "gencli corrupt poisson-noise --threads") ;;
  "gencli corrupt poisson-noise --color") words=(auto always never) ;;
  "gencli corrupt impulse-noise --on") words=(image target both) ;;
  "gencli corrupt impulse-noise --dtype") words=(uint8 float32) ;;
  "gencli corrupt impulse-noise -p") ;;
  "gencli corrupt impulse-noise --seed") ;;
  "gencli corrupt impulse-noise --shard") ;;
  "gencli corrupt impulse-noise -o" | "gencli corrupt impulse-noise --output") return ;;
  "gencli corrupt impulse-noise --threads") ;;
  "gencli corrupt impulse-noise --color") words=(auto always never) ;;
  "gencli corrupt text-overlay --on") words=(image target both) ;;
  "gencli corrupt text-overlay --dtype") words=(uint8 float32) ;;
  "gencli corrupt text-overlay -p") ;;
  "gencli corrupt text-overlay --seed") ;;
  "gencli corrupt text-overlay --shard") ;;
  "gencli corrupt text-overlay -o" | "gencli corrupt text-overlay --output") return ;;
  "gencli corrupt text-overlay --threads") ;;
  "gencli corrupt text-overlay --color") words=(auto always never) ;;
  "gencli corrupt long-tail --ratio") ;;
  "gencli corrupt long-tail --seed") ;;
  "gencli corrupt long-tail --shard") ;;
  "gencli corrupt long-tail -o" | "gencli corrupt long-tail --output") return ;;
  "gencli corrupt long-tail --threads") ;;
  "gencli corrupt long-tail --color") words=(auto always never) ;;
  "gencli corrupt step-imbalance --ratio") ;;
  "gencli corrupt step-imbalance --fraction") ;;
  "gencli corrupt step-imbalance --seed") ;;
  "gencli corrupt step-imbalance --shard") ;;
  "gencli corrupt step-imbalance -o" | "gencli corrupt step-imbalance --output") return ;;
  "gencli corrupt step-imbalance --threads") ;;
  "gencli corrupt step-imbalance --color") words=(auto always never) ;;
  "gencli corrupt subsample -n" | "gencli corrupt subsample --n") ;;
  "gencli corrupt subsample --per-class") ;;
  "gencli corrupt subsample --classes") ;;
  "gencli corrupt subsample --fold") ;;
  "gencli corrupt subsample --seed") ;;
  "gencli corrupt subsample --shard") ;;
  "gencli corrupt subsample -o" | "gencli corrupt subsample --output") return ;;
  "gencli corrupt subsample --threads") ;;
  "gencli corrupt subsample --color") words=(auto always never) ;;
  "gencli corrupt common --kind") words=(gaussian-noise shot-noise impulse-noise defocus-blur glass-blur motion-blur zoom-blur snow frost fog brightness contrast elastic-transform pixelate jpeg-compression speckle-noise gaussian-blur spatter saturate) ;;
  "gencli corrupt common --severity") ;;
  "gencli corrupt common --constants") words=(auto cifar imagenet) ;;
  "gencli corrupt common --seed") ;;
  "gencli corrupt common --shard") ;;
  "gencli corrupt common -o" | "gencli corrupt common --output") return ;;
  "gencli corrupt common --threads") ;;
  "gencli corrupt common --color") words=(auto always never) ;;
  "gencli train --arch") words=(mlp-1x512 mlp-3x512) ;;
  "gencli train --epochs") ;;
  "gencli train --batch-size") ;;
  "gencli train --lr") ;;
  "gencli train --lr-decay") ;;
  "gencli train --momentum") ;;
  "gencli train --weight-decay") ;;
  "gencli train --until-train-accuracy") ;;
  "gencli train --seed") ;;
  "gencli train --device") words=(auto cpu cuda mps) ;;
  "gencli train --eval-data") return ;;
  "gencli train --history") return ;;
  "gencli train -o" | "gencli train --output") return ;;
  "gencli train --threads") ;;
  "gencli train --color") words=(auto always never) ;;
  "gencli eval --predictions") return ;;
  "gencli eval --by") ;;
  "gencli eval --device") words=(auto cpu cuda mps) ;;
  "gencli eval --format") words=(table parquet csv json md) ;;
  "gencli eval -o" | "gencli eval --output") return ;;
  "gencli eval --threads") ;;
  "gencli eval --color") words=(auto always never) ;;
  "gencli report --table") words=(runs classes) ;;
  "gencli report --fitted-at") ;;
  "gencli report --figure") return ;;
  "gencli report --metric") ;;
  "gencli report --contact-sheet") return ;;
  "gencli report --format") words=(table parquet csv json md) ;;
  "gencli report -o" | "gencli report --output") return ;;
  "gencli report --threads") ;;
  "gencli report --color") words=(auto always never) ;;
  *[\<\>]) return ;;
  *)
    case $path in
    "gencli") once=('--version' '-h --help') again=() words=(data corrupt train eval report) ;;
    "gencli data") once=('--version' '-h --help') again=() words=(cifar10 cifar100 mnist fashion-mnist svhn digits export folder parquet repeat show synthetic) ;;
    "gencli data cifar10") once=('--split' '--root' '--classes' '--sample' '--seed' '--limit' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() ;;
    "gencli data cifar100") once=('--split' '--root' '--classes' '--sample' '--seed' '--limit' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() ;;
    "gencli data mnist") once=('--split' '--root' '--classes' '--sample' '--seed' '--limit' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() ;;
    "gencli data fashion-mnist") once=('--split' '--root' '--classes' '--sample' '--seed' '--limit' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() ;;
    "gencli data svhn") once=('--split' '--root' '--classes' '--sample' '--seed' '--limit' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() ;;
    "gencli data digits") once=('--split' '--classes' '--sample' '--seed' '--limit' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() ;;
    "gencli data export") once=('--encode' '--folder' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli data folder") once=('--size' '--crop' '--mode' '--name' '--split' '--classes' '--sample' '--seed' '--limit' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli data parquet") once=('--name' '--split' '--label' '--mode' '--size' '--crop' '--shape' '--classes' '--sample' '--seed' '--limit' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli data repeat") once=('--times' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli data show") once=('--sheet' '--columns' '--format' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli data synthetic") once=('--version' '-h --help') again=() words=(gaussian-clusters two-moons noise) ;;
    "gencli data synthetic gaussian-clusters") once=('--rows' '--size' '--split' '--classes' '--separation' '--seed' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() ;;
    "gencli data synthetic two-moons") once=('--rows' '--size' '--split' '--noise' '--seed' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() ;;
    "gencli data synthetic noise") once=('--rows' '--size' '--split' '--classes' '--seed' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() ;;
    "gencli corrupt") once=('--version' '-h --help') again=() words=(random-labels flip-labels pair-labels matrix-labels permute-labels shuffled-pixels random-pixels gaussian-pixels gaussian-noise poisson-noise impulse-noise text-overlay long-tail step-imbalance subsample common) ;;
    "gencli corrupt random-labels") once=('-p' '--exact' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt flip-labels") once=('-p' '--exact' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt pair-labels") once=('-p' '--pairs' '--exact' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt matrix-labels") once=('--matrix' '--exact' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt permute-labels") once=('--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt shuffled-pixels") once=('--channels' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt random-pixels") once=('--channels' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt gaussian-pixels") once=('--statistics' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt gaussian-noise") once=('--on' '--clean-target' '--dtype' '--sigma' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt poisson-noise") once=('--on' '--clean-target' '--dtype' '--peak' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt impulse-noise") once=('--on' '--clean-target' '--dtype' '-p' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt text-overlay") once=('--on' '--clean-target' '--dtype' '-p' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt long-tail") once=('--ratio' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt step-imbalance") once=('--ratio' '--fraction' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt subsample") once=('-n --n' '--per-class' '--classes' '--fold' '--invert' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli corrupt common") once=('--kind' '--severity' '--constants' '--all' '--seed' '--shard' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli train") once=('--arch' '--epochs' '--batch-size' '--lr' '--lr-decay' '--momentum' '--weight-decay' '--until-train-accuracy' '--measure-train' '--seed' '--device' '--eval-data' '--history' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli eval") once=('--predictions' '--by' '--device' '--format' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=() words=() files=yes ;;
    "gencli report") once=('--table' '--fitted-at' '--curves' '--figure' '--contact-sheet' '--provenance' '--format' '-o --output' '--threads' '-q --quiet' '--color' '--debug' '--version' '-h --help') again=(--metric) words=() files=yes ;;
    esac
    if [[ $current == -* ]]; then
      words=("${again[@]}")
      for names in "${once[@]}"; do
        for word in $names; do
          [[ $given == *" $word "* ]] && continue 2
        done
        words+=($names)
      done
    elif [[ -n $files ]]; then
      return
    fi ;;
  esac
  compopt +o default +o bashdefault 2>/dev/null  # no files here
  for word in "${words[@]}"; do
    [[ $word == "$current"* ]] && COMPREPLY+=("$word")
  done
}
complete -o bashdefault -o default -F _gencli gencli
