# lab_root is where a minion of the demo may write.
{% set root = grains['lab_root'] %}

page:
  file.managed:
    - name: {{ root }}/site/index.html
    - makedirs: True
    - contents: |
        <h1>{{ pillar['site']['title'] }}</h1>
        <p>served by {{ grains['id'] }}</p>

settings:
  file.managed:
    - name: {{ root }}/site/site.conf
    - makedirs: True
    - contents: |
        workers = 4
        keepalive = 30
        log = /var/log/site.log
