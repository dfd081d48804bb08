// Package live feeds messages from Slack into package thread as they are
// written: over the Events API (Slack calls our URL) and over Socket Mode (we
// keep a WebSocket open). Both carry the same envelopes and take one path:
//
//	request ─> signature ─> envelope ─> Store (redacts, on disk) ─> acknowledged ─> backfill, names ─> Changed
//
// An event is acknowledged when it is stored and never before; what cannot be
// stored is refused, and Slack sends it again (three times over an hour on
// HTTP). Slack wants the answer within three seconds, so storing gets two and
// a half and everything else happens after: reading the rest of a thread whose
// beginning was never seen, learning people's names, and, once a channel is
// quiet for Settle, Changed, where extraction runs. The store knows a message
// by channel and ts, so that a message stored twice is one; event ids are
// remembered as well, for deliveries that are repeated.
//
// The signature is HMAC-SHA-256 under the app's signing secret over
// "v0:" + timestamp + ":" + the raw body, five minutes wide.
//
// Direct messages are never stored, even where the app is allowed to read
// them. Channels are kept under the name that they had when they were first
// seen, as in an export; a name is asked for before the first message of a
// channel is stored, which takes the bot token. Without one a channel is
// called by its id.
//
// What is written while Prunella is not running comes later on HTTP, where Slack
// tries again for an hour; over Socket Mode it does not come at all, and only a
// connection that was lost while we ran is read back.
//
// Scopes of the bot token: channels:history, channels:read, users:read, and
// groups:history, groups:read for private channels. Events to subscribe to:
// message.channels, message.groups, reaction_added, pin_added.
//
// What is not here: what a message means (package thread), wiring and
// configuration files (package app), writing to Slack (package notify).
package live
