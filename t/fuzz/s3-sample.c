/*
 * s3-sample.c - fuzz target: the first rows of a file that anybody may have changed, as CSV (first byte 'c') or JSON lines. Rows have as many values as there are columns, each text or
 * null, and never more rows than asked for. What our own writer makes of those values is read back as the same.
 */
#include "loaders/s3/s3_text.h"
#include "xalloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(json_t *columns, json_t *rows)
{
	json_t *row, *v;
	size_t k, i;

	assert(json_array_size(rows) <= 20);
	json_array_foreach(rows, k, row)
	{
		assert(json_array_size(row) == json_array_size(columns));
		json_array_foreach(row, i, v)
		{
			assert(json_is_string(v) || json_is_null(v));
		}
	}
}

static void again(const struct csv *c, json_t *columns, json_t *rows)
{
	json_t *columns2 = json_array(), *rows2 = json_array(), *row, *v;
	struct buf out = BUF_INIT;
	size_t k, i;

	json_array_foreach(columns, i, v)
	{
		csv_text(c, &out, str_mem(json_string_value(v), json_string_length(v)), false, i == 0);
	}
	csv_end(&out);
	json_array_foreach(rows, k, row)
	{
		json_array_foreach(row, i, v)
		{
			csv_text(c, &out, json_is_null(v) ? STR_NULL : str_mem(json_string_value(v), json_string_length(v)), json_is_null(v), i == 0);
		}
		csv_end(&out);
	}
	csv_sample(c, buf_str(&out), true, 20, columns2, rows2);
	assert(json_equal(columns, columns2) && json_equal(rows, rows2));
	json_decref(columns2);
	json_decref(rows2);
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *columns = json_array(), *rows = json_array();
	char *copy = xmemdup(data, size);
	struct csv c = {.delimiter = ',', .force_quote = size % 2};

	if (size && copy[0] == 'c') {
		csv_sample(&c, str_mem(copy + 1, size - 1), size % 3, 20, columns, rows);
		look(columns, rows);
		if (json_array_size(columns))
			again(&c, columns, rows);
	} else {
		jsonl_sample(str_mem(copy, size), size % 3, 20, columns, rows);
		look(columns, rows);
	}
	json_decref(columns);
	json_decref(rows);
	free(copy);
	return 0;
}
