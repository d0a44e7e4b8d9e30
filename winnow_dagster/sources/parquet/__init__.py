"""Raw counts from Parquet files in the schema of `file_downloads`."""
