//go:build !profile

package main

// profile does nothing in a binary that is not made for it.
func profile() {}
