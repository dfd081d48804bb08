package wiki_test

func renameForever(dir string) {}
