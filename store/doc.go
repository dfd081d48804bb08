// Package store keeps the state that must survive: incidents with their
// signals and timeline, runs, approvals, leases, the notification outbox, what
// the monitors saw, and the learned state of the pipeline.
//
// A document is stored as JSON beside the few columns that are searched, so a
// new field of a noun needs no migration. SQLite is the engine (WAL,
// synchronous=FULL: a nil error means that the change survives kill -9 and a
// power cut). One connection writes, a few read; a reader never waits for the
// writer. Every statement uses $1 placeholders, ON CONFLICT and RETURNING, and
// what is particular to SQLite stands in dialect.go and migrations/sqlite, so
// that PostgreSQL can follow with two files of its own.
//
// Read-modify-write is a function argument: the store reads the document inside
// the transaction, calls the function, and writes what it left. An error of the
// function rolls everything back and is returned as it is. The function must
// not call the store.
//
// Everything that belongs together is committed together: Commit takes a Batch
// with signals, incidents, runs, approvals and notifications, and the methods
// that change less are short forms of it.
//
// What is not here: deciding anything. The store does not know what an
// incident's state means, when a lease should be taken, or whom to notify.
//
// Times are stored as nanoseconds since 1970, UTC; the zero time is 0. Errors
// are *prunella.Error: NotFound, Conflict (somebody was first, a fence is old),
// Invalid, Unavailable (locked, full, cancelled: try again), Internal.
package store
