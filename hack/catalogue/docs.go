package main

func writeDocs(p places, seen map[string]coverage) error { return nil }
