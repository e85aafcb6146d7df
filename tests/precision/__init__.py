"""Small trained networks and data sets for the tests of int8 and fp16."""
