// Marks large payments made abroad: a rule in JavaScript.
let maxAmount = 1000;

export const stage = {
  describe() {
    const schema = {
      type: 'object',
      properties: { max_amount: { type: 'number', default: 1000 } },
      additionalProperties: false,
    };
    return {
      name: 'abroad', version: '0.1.0', summary: 'Marks large payments made abroad.',
      configSchema: JSON.stringify(schema),
    };
  },

  open(config) {
    const wanted = JSON.parse(config || '{}').max_amount ?? 1000;
    if (typeof wanted !== 'number') throw 'max_amount: expected a number';
    maxAmount = wanted;
  },

  bind() {
    const read = (name, kind) => ({ name, kind, optional: true });
    return {
      reads: [read('amount', 'float'), read('country', 'text'), read('home_country', 'text')],
      writes: [{ name: 'fraud', kind: 'boolean', nullable: false }],
      removes: [], renames: [], shape: 'keep', texts: 'each', ops: false,
    };
  },

  process(batch) {
    const [amounts, countries, homes] = batch.columns.map((column) => column.values.val);
    const fraud = Array.from(amounts, (amount, row) =>
      amount > maxAmount && countries[row] !== homes[row]);
    return {
      columns: [{ values: { tag: 'booleans', val: fraud }, nulls: [], absent: [] }],
      rejects: [], removals: [], extra: [],
    };
  },

  close() {},
};
