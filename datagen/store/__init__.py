"""Data sets of labelled deployments: Parquet shards and a manifest."""

from datagen.store.reader import Dataset, read_dataset
from datagen.store.schema import SCHEMA_VERSION, table_of
from datagen.store.writer import DatasetWriter

__all__ = ["SCHEMA_VERSION", "Dataset", "DatasetWriter", "read_dataset", "table_of"]
