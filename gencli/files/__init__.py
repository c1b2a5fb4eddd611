"""Files and streams: Parquet tables, safetensors, what they say of how they were made, checkpoints."""
