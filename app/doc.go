// Package app reads the configuration and wires the rooms into one server: New
// builds in one straight line, Start runs, Stop drains. It is the only package
// that knows everybody; nothing but the commands imports it.
package app
