// Package native speaks to a Salt master on the same machine as its own tools do: jobs over the request port, events from the
// event socket, past jobs from the job cache on disk or through runners. It finds all of that in the master's configuration,
// and runs as any user whom the master's publisher_acl names.
package native
