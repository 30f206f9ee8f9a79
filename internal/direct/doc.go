// Package direct stands in for a jobd where there is none: the engine and the assignment service work in this process, on what a
// salt-api lets them reach and on stores in memory. What they know ends with the process; definitions are in Terraform's state and
// in the references that carry them, and what ran before is read from the master's job cache.
//
// What is kept is bounded. A return is kept while somebody follows its job, and after that as long as all of them together have
// room; then it is read from the job cache again. Of returns of state runs, as in jobd's archive, the states that are clean are let
// go.
//
// A run that an earlier process has left is found by the metadata of its jobs: see [MetadataKey].
package direct
