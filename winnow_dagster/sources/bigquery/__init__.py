"""Raw counts from the table `file_downloads` in BigQuery: settings, queries, jobs, costs."""
