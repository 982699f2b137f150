// Package version tells what this binary is and which Redis it answers as.
package version

// Redis is the version that INFO, HELLO and the start-up lines report, since
// clients and tools choose their behaviour by it.
const Redis = "7.2.4"

// Build is Redoubt's own version, set by the linker.
var Build = "dev"
