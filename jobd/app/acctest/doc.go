// Package acctest has tests of several jobds that use one PostgreSQL, beside real masters.
package acctest
