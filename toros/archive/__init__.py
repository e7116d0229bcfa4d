"""The database: models, migrations and named queries."""
