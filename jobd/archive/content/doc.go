// Package content takes the body of a return apart into what is the same each time a function finds the same, and what
// differs (durations, start times, process ids of states), and puts it together again to the byte. Stores keep the first
// once under its digest, and the second beside each return.
package content
