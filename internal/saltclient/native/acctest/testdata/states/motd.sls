# A state whose id holds what keys, JSON and HCL have a meaning for.
{% set file = grains['lab_root'] ~ '/motd' %}
'motd _|- "quoted" ${x} <b> é':
  file.managed:
    - name: {{ file }}
    - contents: {{ pillar.get('greeting', 'hello') | json }}

settled:
  test.nop: []
