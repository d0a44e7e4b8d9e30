"""Files of every format so far, as the releases that had it wrote them, and the tests that today's code reads them."""
