#!/usr/bin/env python3
"""A random history of a table as a script for the loader-driver: bigquery-history.py SEED TABLE steps|once|mixed.

The batches are the same for a seed. steps: each is loaded as soon as it is there, so by the schema of its time; once: all in one load; mixed: in groups, out of
order, some twice. Values: integers and decimals around the bounds of doubles and of 64 bits, text, booleans, objects and arrays, types that change, bad arrays.
"""
import json, random, sys

seed, table, how = int(sys.argv[1]), sys.argv[2], sys.argv[3]
r = random.Random(seed)
INTEGERS = ['0', '-7', '42', '9007199254740992', '9007199254740993', '-9223372036854775808', '9223372036854775807']
WIDE = ['9223372036854775808', '12345678901234567890123456789', '-98765432109876543210']
DECIMALS = ['0.5', '-2.25', '1e3', '0.30000000000000004', '1234567890123456.75', '12345678901234567890.125', '1e300']
TEXTS = ['"a"', '"Gr\\u00fc\\u00dfe"', '""', '"2024-02-29"', '"x\\ny"']


def scalar(kinds):
    return r.choice({'i': INTEGERS, 'w': WIDE, 'd': DECIMALS, 's': TEXTS, 'b': ['true', 'false'], 'n': ['null']}[r.choice(kinds)])


def value(name):
    if name == 'n': return scalar('iiidwn')
    if name == 'mix': return scalar('isbdn')
    if name == 's': return scalar('ssn')
    if name == 'o': return r.choice([lambda: '{' + ','.join(f'"{k}":{v}' for k, v in members().items()) + '}', lambda: scalar('sn'), lambda: '{}'])()
    if name == 'l': return '[' + ','.join(scalar('s') for _ in range(r.randrange(3))) + ']' if r.random() < .8 else '["a",null]'
    return '[' + ','.join('{' + ','.join(f'"{k}":{v}' for k, v in members().items()) + '}' for _ in range(r.randrange(3))) + ']'


def members():
    return {k: scalar(kinds) for k, kinds in (('x', 'iin'), ('y', 'id'), ('Z', 'sbn'), ('t', 'bs')) if r.random() < .5}


batches, sequence = [], 0
for k in range(8):
    lines = []
    for _ in range(r.randrange(1, 5)):
        sequence += 1
        names = [n for n in ('n', 'mix', 's', 'o', 'l', 'i') if r.random() < .25 + k / 10]
        fields = ''.join(f',"{n}":{value(n)}' for n in names)
        lines.append(f'rec {sequence} {{"id":{r.randrange(6)}{fields}}}')
    batches.append(lines)

print(f'table {table} id')
for k, lines in enumerate(batches):
    print(f'batch b{k}\nentry {k + 1}\n' + '\n'.join(lines) + '\nend')
    if how == 'steps': print(f'load b{k}')
if how == 'once': print('load ' + ' '.join(f'b{k}' for k in range(len(batches))))
if how == 'mixed':
    order = list(range(len(batches)))
    random.Random(seed + 1000).shuffle(order)
    for part in (order[:3], order[3:5], order[2:4], order[5:]): print('load ' + ' '.join(f'b{k}' for k in part))
