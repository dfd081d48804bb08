// Package keyset todo.
package keyset
