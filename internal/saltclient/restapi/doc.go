// Package restapi reaches a Salt master through salt-api (rest_cherrypy): it logs in and again where a token has gone, publishes,
// runs runners, and reads the event stream and the job cache. It repeats what is safe to repeat and bounds every call in time and size.
package restapi
