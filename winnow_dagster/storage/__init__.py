"""What Winnow keeps on disk: the days it has read, and the directory that the web server serves."""
