# Completion of gencli for bash, made from its commands.
_gencli() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
  local path=gencli word options commands
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in
    "gencli data" | "gencli data digits" | "gencli data parquet" | "gencli corrupt" | "gencli corrupt random-labels" | "gencli corrupt shuffled-pixels" | "gencli train" | "gencli eval" | "gencli report") path="$path $word" ;;
    esac
  done
  COMPREPLY=()
  case "$path $previous" in
    "gencli data digits --split") COMPREPLY=($(compgen -W "train test" -- "$current")); return ;;
    "gencli data digits --classes") return ;;
    "gencli data digits --sample") return ;;
    "gencli data digits --seed") return ;;
    "gencli data digits --limit") return ;;
    "gencli data digits -o" | "gencli data digits --output") return ;;
    "gencli data digits --threads") return ;;
    "gencli data digits --color") COMPREPLY=($(compgen -W "auto always never" -- "$current")); return ;;
    "gencli data parquet --name") return ;;
    "gencli data parquet --split") return ;;
    "gencli data parquet --label") return ;;
    "gencli data parquet --mode") COMPREPLY=($(compgen -W "gray rgb" -- "$current")); return ;;
    "gencli data parquet --shape") return ;;
    "gencli data parquet --classes") return ;;
    "gencli data parquet --sample") return ;;
    "gencli data parquet --seed") return ;;
    "gencli data parquet --limit") return ;;
    "gencli data parquet -o" | "gencli data parquet --output") return ;;
    "gencli data parquet --threads") return ;;
    "gencli data parquet --color") COMPREPLY=($(compgen -W "auto always never" -- "$current")); return ;;
    "gencli corrupt random-labels -p") return ;;
    "gencli corrupt random-labels --seed") return ;;
    "gencli corrupt random-labels -o" | "gencli corrupt random-labels --output") return ;;
    "gencli corrupt random-labels --threads") return ;;
    "gencli corrupt random-labels --color") COMPREPLY=($(compgen -W "auto always never" -- "$current")); return ;;
    "gencli corrupt shuffled-pixels --channels") COMPREPLY=($(compgen -W "together apart" -- "$current")); return ;;
    "gencli corrupt shuffled-pixels --seed") return ;;
    "gencli corrupt shuffled-pixels -o" | "gencli corrupt shuffled-pixels --output") return ;;
    "gencli corrupt shuffled-pixels --threads") return ;;
    "gencli corrupt shuffled-pixels --color") COMPREPLY=($(compgen -W "auto always never" -- "$current")); return ;;
    "gencli train --arch") return ;;
    "gencli train --epochs") return ;;
    "gencli train --batch-size") return ;;
    "gencli train --lr") return ;;
    "gencli train --lr-decay") return ;;
    "gencli train --momentum") return ;;
    "gencli train --weight-decay") return ;;
    "gencli train --until-train-accuracy") return ;;
    "gencli train --seed") return ;;
    "gencli train --device") COMPREPLY=($(compgen -W "auto cpu cuda mps" -- "$current")); return ;;
    "gencli train --eval-data") return ;;
    "gencli train --history") return ;;
    "gencli train -o" | "gencli train --output") return ;;
    "gencli train --threads") return ;;
    "gencli train --color") COMPREPLY=($(compgen -W "auto always never" -- "$current")); return ;;
    "gencli eval --predictions") return ;;
    "gencli eval --device") COMPREPLY=($(compgen -W "auto cpu cuda mps" -- "$current")); return ;;
    "gencli eval --format") COMPREPLY=($(compgen -W "table parquet csv json md" -- "$current")); return ;;
    "gencli eval -o" | "gencli eval --output") return ;;
    "gencli eval --threads") return ;;
    "gencli eval --color") COMPREPLY=($(compgen -W "auto always never" -- "$current")); return ;;
    "gencli report --table") COMPREPLY=($(compgen -W "runs classes" -- "$current")); return ;;
    "gencli report --fitted-at") return ;;
    "gencli report --figure") return ;;
    "gencli report --metric") return ;;
    "gencli report --format") COMPREPLY=($(compgen -W "table parquet csv json md" -- "$current")); return ;;
    "gencli report -o" | "gencli report --output") return ;;
    "gencli report --threads") return ;;
    "gencli report --color") COMPREPLY=($(compgen -W "auto always never" -- "$current")); return ;;
  esac
  case "$path" in
    "gencli") options="--version -h --help" commands="data corrupt train eval report" ;;
    "gencli data") options="--version -h --help" commands="digits parquet" ;;
    "gencli data digits") options="--split --classes --sample --seed --limit -o --output --threads -q --quiet --color --debug --version -h --help" commands="" ;;
    "gencli data parquet") options="--name --split --label --mode --shape --classes --sample --seed --limit -o --output --threads -q --quiet --color --debug --version -h --help" commands="" ;;
    "gencli corrupt") options="--version -h --help" commands="random-labels shuffled-pixels" ;;
    "gencli corrupt random-labels") options="-p --seed -o --output --threads -q --quiet --color --debug --version -h --help" commands="" ;;
    "gencli corrupt shuffled-pixels") options="--channels --seed -o --output --threads -q --quiet --color --debug --version -h --help" commands="" ;;
    "gencli train") options="--arch --epochs --batch-size --lr --lr-decay --momentum --weight-decay --until-train-accuracy --measure-train --seed --device --eval-data --history -o --output --threads -q --quiet --color --debug --version -h --help" commands="" ;;
    "gencli eval") options="--predictions --device --format -o --output --threads -q --quiet --color --debug --version -h --help" commands="" ;;
    "gencli report") options="--table --fitted-at --curves --figure --metric --provenance --format -o --output --threads -q --quiet --color --debug --version -h --help" commands="" ;;
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$current"))
  fi
}
complete -o bashdefault -o default -F _gencli gencli
