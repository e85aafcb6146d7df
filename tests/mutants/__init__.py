"""Planted faults: `make mutants` changes the compiler a little, once at a time, and sees whether tests notice."""
