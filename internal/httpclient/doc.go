// Package httpclient is what Gaea's HTTP clients share: a transport that trusts a CA file, a log of repetitions without secrets,
// server-sent events, and why a connection failed. It knows none of the servers that it is used for.
package httpclient
