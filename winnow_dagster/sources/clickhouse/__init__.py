"""Raw counts from a ClickHouse table in ClickPy's schema: settings, queries, limits, completeness of days."""
