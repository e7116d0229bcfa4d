"""The preprocessor daemon: file batches and their steps."""
