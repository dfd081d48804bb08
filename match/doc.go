// Package match answers "is something wrong, where, since when?" and "which
// known failure is it?".
package match
