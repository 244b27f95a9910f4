"""S3: the lake's bucket, uploads, raw data, the lock."""
