// Package saltclient knows what Salt says: it turns the msgpack of a master's events into JSON and those events into jobs,
// returns and states. How the messages reach Gaea is the business of the packages below it; this one does no input or output.
package saltclient
