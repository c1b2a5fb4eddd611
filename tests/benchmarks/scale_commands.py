"""What `scale` runs: every command that reads or writes rows, in an order in which what one makes others read."""

from __future__ import annotations

DIGITS = 1437  # rows of `gencli data digits`

SQUARED = "fit kernel", "spectrum --kernel"

# not measured: what later commands read
BEFORE = {
    "bound holdout": [
        "data synthetic gaussian-clusters --classes 10 --rows {rows} --split test -o test.parquet",
        "train clusters.parquet --arch mlp-1x32 --max-steps 50 --batch-size 1000 --stream 9000 -o clusters.safetensors",
    ],
    "sum of eval": [
        "eval m.safetensors corrupted.parquet --shard 0/2 -o part-0.parquet",
        "eval m.safetensors corrupted.parquet --shard 1/2 -o part-1.parquet",
    ],
}

_TRAIN = "train corrupted.parquet --arch mlp-1x64 --batch-size 1000 --epochs 1"
_CURVED = "m.safetensors corrupted.parquet --batch-size 5000"

COMMANDS = {
    "data repeat": "data repeat digits.parquet --times {times} -o rows.parquet",
    "data synthetic": "data synthetic gaussian-clusters --classes 10 --rows {rows} -o clusters.parquet",
    "data arrays": "data arrays images.npy labels.npy -o /dev/null",
    "data where": "data where label<5 rows.parquet -o some.parquet",
    "data export": "data export rows.parquet --encode png -o exported.parquet",
    "data parquet": "data parquet exported.parquet -o /dev/null",
    "corrupt random-labels": "corrupt random-labels rows.parquet -p 0.2 -o corrupted.parquet",
    "corrupt flip-labels": "corrupt flip-labels rows.parquet -p 0.2 -o /dev/null",
    "corrupt pair-labels": "corrupt pair-labels rows.parquet -p 0.2 -o /dev/null",
    "corrupt matrix-labels": "corrupt matrix-labels rows.parquet --matrix matrix.csv -o /dev/null",
    "corrupt permute-labels": "corrupt permute-labels rows.parquet -o /dev/null",
    "corrupt labels": "corrupt labels rows.parquet --from labels.npy -o /dev/null",
    "corrupt merge-classes": "corrupt merge-classes rows.parquet --groups 0-4,5-9 -o /dev/null",
    "corrupt shuffled-pixels": "corrupt shuffled-pixels rows.parquet -o /dev/null",
    "corrupt random-pixels": "corrupt random-pixels rows.parquet -o /dev/null",
    "corrupt gaussian-pixels": "corrupt gaussian-pixels rows.parquet -o /dev/null",
    "corrupt gaussian-noise": "corrupt gaussian-noise rows.parquet --sigma 25 -o /dev/null",
    "corrupt poisson-noise": "corrupt poisson-noise rows.parquet --peak 30 -o /dev/null",
    "corrupt impulse-noise": "corrupt impulse-noise rows.parquet -p 0.1 -o /dev/null",
    "corrupt text-overlay": "corrupt text-overlay rows.parquet -p 0.25 -o /dev/null",
    "corrupt long-tail": "corrupt long-tail rows.parquet --ratio 100 -o /dev/null",
    "corrupt step-imbalance": "corrupt step-imbalance rows.parquet --ratio 10 -o /dev/null",
    "corrupt subsample": "corrupt subsample rows.parquet --fold 0/5 -o /dev/null",
    "corrupt common": "corrupt common rows.parquet --kind fog --severity 3 -o /dev/null",
    "show": "show corrupted.parquet -o shown.txt",
    "how": "how corrupted.parquet -o how.sh",
    "train": f"{_TRAIN} -o whole.safetensors",
    "train --stream": f"{_TRAIN} --stream 10000 -o m.safetensors",
    "train --dynamics": f"{_TRAIN} --stream 10000 --dynamics dynamics.parquet -o dynamics.safetensors",
    "corrupt prune": "corrupt prune corrupted.parquet -p 0.1 --by loss_mean --scores dynamics.parquet -o /dev/null",
    "fit least-squares": "fit least-squares corrupted.parquet -o fitted.safetensors",
    "fit random-features": "fit random-features corrupted.parquet --features 100 -o fitted.safetensors",
    "fit finite-sample": "fit finite-sample clusters.parquet -o fitted.safetensors",
    "fit kernel": "fit kernel clusters.parquet --kernel gaussian:0.02 --ridge 0.1 -o fitted.safetensors",
    "eval": "eval m.safetensors corrupted.parquet -o result.parquet",
    "eval --predictions": "eval m.safetensors corrupted.parquet --predictions predictions.parquet -o result.parquet",
    "sum of eval": "sum part-0.parquet part-1.parquet -o result.parquet",
    "data where --join": "data where label<>prediction corrupted.parquet --join predictions.parquet -o wrong.parquet",
    "report --plot reliability": "report predictions.parquet --plot reliability -o report.txt",
    "score": "score dynamics.parquet -o scores.parquet",
    "score of a network": "score m.safetensors corrupted.parquet -o of-network.parquet",
    "score --judge": "score --judge scores.parquet -o judged.parquet",
    "hvp --no-verify": f"hvp {_CURVED} --vector random:1 --no-verify -o product.safetensors",
    "spectrum --trace": f"spectrum {_CURVED} --trace --trace-products 4 -o trace.parquet",
    "spectrum --kernel": "spectrum --kernel gaussian:0.02 corrupted.parquet -o kernel.parquet",
    "jacobian": "jacobian m.safetensors corrupted.parquet -o jacobians.parquet",
    "bound holdout": "bound holdout clusters.safetensors test.parquet --train clusters.parquet -o bound.parquet",
    "bound pac-bayes": "bound pac-bayes clusters.safetensors clusters.parquet --epochs 1 --draws 1000 "
    "--batch-size 1000 --certificate bound.safetensors -o bound.parquet",
    "bound compression": "bound compression clusters.safetensors clusters.parquet --subspace 100 --epochs 1 "
    "--batch-size 1000 -o bound.parquet",
    "bound verify": "bound verify bound.safetensors clusters.parquet -o verified.parquet",
}  # fmt: skip
