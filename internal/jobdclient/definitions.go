package jobdclient

import (
	"context"
	"net/http"

	"github.com/gaea-salt/terraform-provider-gaea/internal/gaea"
)

// The paths of the three kinds of definition.
const (
	groupsPath      = "/v1/target-groups"
	templatesPath   = "/v1/job-templates"
	assignmentsPath = "/v1/assignments"
)

// PutTargetGroup stores a target group; an equal latest version is returned as it is. CodeConflict where the name is
// another owner's.
func (c *Client) PutTargetGroup(ctx context.Context, g gaea.TargetGroup) (*gaea.Version[gaea.TargetGroup], error) {
	return put[gaea.TargetGroup](ctx, c, groupsPath, g.Name, g)
}

// GetTargetGroup returns what a ref (NAME@DIGEST) points at, or the latest version of a name. CodeNotFound.
func (c *Client) GetTargetGroup(ctx context.Context, ref string) (*gaea.Version[gaea.TargetGroup], error) {
	return version[gaea.TargetGroup](ctx, c, groupsPath, ref)
}

// DeleteTargetGroup deletes a target group and keeps its versions. CodeNotFound; CodeConflict where an assignment uses it by name.
func (c *Client) DeleteTargetGroup(ctx context.Context, name string) error {
	return c.remove(ctx, groupsPath, name)
}

// TargetGroups lists the latest version of each target group, by name.
func (c *Client) TargetGroups(ctx context.Context, p gaea.PageRequest) (gaea.Page[gaea.Version[gaea.TargetGroup]], error) {
	return page[gaea.Version[gaea.TargetGroup]](ctx, c, groupsPath, newQuery(), p)
}

// TargetGroupVersions returns every version of a target group, newest first. CodeNotFound.
func (c *Client) TargetGroupVersions(ctx context.Context, name string) ([]gaea.Version[gaea.TargetGroup], error) {
	return versions[gaea.TargetGroup](ctx, c, groupsPath, name)
}

// PutJobTemplate stores a job template; an equal latest version is returned as it is. CodeConflict where the name is
// another owner's.
func (c *Client) PutJobTemplate(ctx context.Context, t gaea.JobTemplate) (*gaea.Version[gaea.JobTemplate], error) {
	return put[gaea.JobTemplate](ctx, c, templatesPath, t.Name, t)
}

// GetJobTemplate returns what a ref (NAME@DIGEST) points at, or the latest version of a name. CodeNotFound.
func (c *Client) GetJobTemplate(ctx context.Context, ref string) (*gaea.Version[gaea.JobTemplate], error) {
	return version[gaea.JobTemplate](ctx, c, templatesPath, ref)
}

// DeleteJobTemplate deletes a job template and keeps its versions. CodeNotFound; CodeConflict where an assignment uses it by name.
func (c *Client) DeleteJobTemplate(ctx context.Context, name string) error {
	return c.remove(ctx, templatesPath, name)
}

// JobTemplates lists the latest version of each job template, by name.
func (c *Client) JobTemplates(ctx context.Context, p gaea.PageRequest) (gaea.Page[gaea.Version[gaea.JobTemplate]], error) {
	return page[gaea.Version[gaea.JobTemplate]](ctx, c, templatesPath, newQuery(), p)
}

// JobTemplateVersions returns every version of a job template, newest first. CodeNotFound.
func (c *Client) JobTemplateVersions(ctx context.Context, name string) ([]gaea.Version[gaea.JobTemplate], error) {
	return versions[gaea.JobTemplate](ctx, c, templatesPath, name)
}

// PutAssignment stores an assignment and, where one is given, its secret pillar; it runs nothing. An equal latest version is
// returned as it is. CodeInvalid names the field, also for a target group or job template that does not exist; CodeConflict
// where the name is another owner's.
func (c *Client) PutAssignment(ctx context.Context, a gaea.AssignmentInput) (*gaea.Version[gaea.Assignment], error) {
	return put[gaea.Assignment](ctx, c, assignmentsPath, a.Name, a)
}

// GetAssignment returns what a ref (NAME@DIGEST) points at, or the latest version of a name. CodeNotFound.
func (c *Client) GetAssignment(ctx context.Context, ref string) (*gaea.Version[gaea.Assignment], error) {
	return version[gaea.Assignment](ctx, c, assignmentsPath, ref)
}

// DeleteAssignment deletes an assignment and keeps its versions; it touches no minion. CodeNotFound.
func (c *Client) DeleteAssignment(ctx context.Context, name string) error {
	return c.remove(ctx, assignmentsPath, name)
}

// Assignments lists the latest version of each assignment, by name.
func (c *Client) Assignments(ctx context.Context, p gaea.PageRequest) (gaea.Page[gaea.Version[gaea.Assignment]], error) {
	return page[gaea.Version[gaea.Assignment]](ctx, c, assignmentsPath, newQuery(), p)
}

// AssignmentVersions returns every version of an assignment, newest first. CodeNotFound.
func (c *Client) AssignmentVersions(ctx context.Context, name string) ([]gaea.Version[gaea.Assignment], error) {
	return versions[gaea.Assignment](ctx, c, assignmentsPath, name)
}

func put[T gaea.Definition](ctx context.Context, c *Client, path, name string, body any) (*gaea.Version[T], error) {
	if err := gaea.ValidateName(name); err != nil {
		return nil, err
	}
	return send[gaea.Version[T]](ctx, c, call{method: http.MethodPut, path: path + "/" + name, body: body})
}

func version[T gaea.Definition](ctx context.Context, c *Client, path, ref string) (*gaea.Version[T], error) {
	r, err := gaea.ParseRef(ref)
	if err != nil {
		return nil, err
	}
	return get[gaea.Version[T]](ctx, c, path+"/"+r.Bare().String(), nil)
}

func versions[T gaea.Definition](ctx context.Context, c *Client, path, name string) ([]gaea.Version[T], error) {
	if err := gaea.ValidateName(name); err != nil {
		return nil, err
	}
	out, err := get[[]gaea.Version[T]](ctx, c, path+"/"+name+"/versions", nil)
	if err != nil {
		return nil, err
	}
	return *out, nil
}

func (c *Client) remove(ctx context.Context, path, name string) error {
	if err := gaea.ValidateName(name); err != nil {
		return err
	}
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path + "/" + name})
	return err
}
