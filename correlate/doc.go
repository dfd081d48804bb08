// Package correlate answers "which incident does it belong to, how bad is it,
// where will it spread?". Everything in it is a pure function of its arguments.
package correlate
