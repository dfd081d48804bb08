// Package bus carries Signals from the intake to the pipeline on NATS
// JetStream. What Publish has accepted survives kill -9 and a power cut, and
// stays until a Consumer has acknowledged it.
//
// By default the server runs inside this process: no port is opened, and its
// files lie below Config.Dir, which the caller must hold alone (store.Open
// locks the data folder). With Config.URL it is a cluster of the user's own.
// Both take the same path; there is one stream, "prunella-signals".
//
// One Publish is one stored message and one flush to disk. A batch larger than
// a message may be (see MaxMessage) is split in its order; when a later part
// fails, Publish fails, and the earlier parts are delivered all the same.
//
// Delivery is at least once and in order. A consumer that keeps Message.Seq,
// with Consumer.Epoch, in the transaction that writes its results can leave out
// what it has done already: then it is exactly once.
//
// A full stream refuses new messages; it never drops old ones. Errors are
// *prunella.Error: Unavailable (full, disconnected: try again), TooLarge (one
// signal is larger than a message), Invalid (folder or URL).
package bus
