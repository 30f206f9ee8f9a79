# A job template is imported by its name.
terraform import gaea_job_template.rolling rolling
