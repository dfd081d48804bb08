// Package sqlstore keeps a rotation in SQLite or PostgreSQL: it implements
// rotation.Store, and signer.Vault for sealed keys that several nodes share.
//
//	store, err := sqlstore.Open(ctx, "postgres://rotation@db/keys")  // or a file
//
// There is one SQL text for both. What is decided on is in columns, the rest is
// one JSON document a row. Every method is one transaction. The ring changes by
// compare-and-swap on its version, and the row lock that takes also orders the
// audit trail, so two nodes never both commit a step. SQLite runs with WAL and
// synchronous=FULL; several processes on one machine may share its file.
//
// Not here: any decision.
package sqlstore
