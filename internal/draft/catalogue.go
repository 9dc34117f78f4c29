package draft

import "hearth/internal/source/sqltext"

// catalogue are the queries that tell of a database's tables. Each gives a row for a column, in
// their order. The names of what they return are the same everywhere.
type catalogue struct {
	columns   string // schema_name, table_name, visible, is_view, has_heirs, table_comment, column_name, declared, is_array, column_comment, not_null, has_default, is_computed, may_read
	documents string // of text columns that are JSON all the same: table_name, column_name; it may fail; "": there are none
	indexes   string // of the unique ones, the primary key first, small ones before large ones: schema_name, table_name, index_name, is_primary, partial, is_deferred, column_name ("" for an expression)
}

var catalogues = map[sqltext.Dialect]catalogue{
	sqltext.PostgreSQL: {
		// A domain, and a domain of a domain, is shown as the type behind it. Partitions are read
		// through their table, and what belongs to an extension is not anybody's data.
		columns: `SELECT n.nspname AS schema_name, c.relname AS table_name, pg_catalog.pg_table_is_visible(c.oid) AS visible,
	c.relkind IN ('v', 'm') AS is_view, c.relkind <> 'p' AND EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhparent = c.oid) AS has_heirs, coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), '') AS table_comment,
	a.attname AS column_name, pg_catalog.format_type(b.id, b.size) AS declared,
	t.typcategory = 'A' AS is_array, coalesce(pg_catalog.col_description(c.oid, a.attnum), '') AS column_comment,
	a.attnotnull OR b.strict AS not_null, a.atthasdef OR a.attidentity <> '' AS has_default, a.attgenerated <> '' OR a.attidentity = 'a' AS is_computed,
	pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT') AS may_read
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
CROSS JOIN LATERAL (
	WITH RECURSIVE behind (id, size, strict, depth) AS (
		SELECT t.oid, a.atttypmod, t.typnotnull, 0
		UNION ALL
		SELECT u.typbasetype, u.typtypmod, behind.strict OR u.typnotnull, behind.depth + 1
		FROM behind JOIN pg_catalog.pg_type AS u ON u.oid = behind.id WHERE u.typbasetype <> 0)
	SELECT id, size, strict FROM behind ORDER BY depth DESC LIMIT 1) AS b
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped
	AND n.nspname NOT IN ('information_schema', 'hearth') AND n.nspname NOT LIKE 'pg\_%'
	AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
	AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
ORDER BY n.nspname, c.relname, a.attnum`,
		indexes: `SELECT n.nspname AS schema_name, c.relname AS table_name, x.relname AS index_name, i.indisprimary AS is_primary,
	i.indpred IS NOT NULL OR i.indexprs IS NOT NULL OR NOT i.indisvalid AS partial, NOT i.indimmediate AS is_deferred, coalesce(a.attname, '') AS column_name
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid
JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL pg_catalog.generate_series(0, i.indnkeyatts - 1) AS at
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[at] AND a.attnum > 0
WHERE i.indisunique
ORDER BY n.nspname, c.relname, i.indisprimary DESC, i.indnkeyatts, x.relname, at`,
	},
	sqltext.MySQL: {
		// A column ON UPDATE is set by the database, but where a row needs one and nothing makes it.
		columns: "SELECT '' AS schema_name, t.table_name AS table_name, 1 AS visible, t.table_type LIKE '%VIEW%' AS is_view, 0 AS has_heirs, CASE WHEN t.table_type LIKE '%VIEW%' THEN '' ELSE t.table_comment END AS table_comment," +
			" c.column_name AS column_name, c.column_type AS declared, 0 AS is_array, c.column_comment AS column_comment, c.is_nullable = 'NO' AS not_null," +
			" c.column_default IS NOT NULL AND c.column_default <> 'NULL' OR c.extra LIKE '%auto_increment%' OR c.extra LIKE '%DEFAULT_GENERATED%' AS has_default," +
			" c.extra LIKE '%VIRTUAL%' OR c.extra LIKE '%STORED%' OR c.extra LIKE '%PERSISTENT%'" +
			" OR c.extra LIKE '%on update%' AND (c.is_nullable = 'YES' OR c.column_default IS NOT NULL) AS is_computed, c.privileges LIKE '%select%' AS may_read" +
			" FROM information_schema.tables AS t JOIN information_schema.columns AS c ON c.table_schema = t.table_schema AND c.table_name = t.table_name" +
			" WHERE t.table_schema = DATABASE() AND t.table_type <> 'SEQUENCE' AND t.table_name NOT IN ('hearth_watch', 'hearth_feed', 'hearth_kept', 'hearth_drain', 'hearth_seen')" +
			" ORDER BY t.table_name, c.ordinal_position",
		// MariaDB's type JSON is a text with a check. MySQL's view has no names of tables, and its JSON is a type.
		documents: "SELECT k.table_name AS table_name, c.column_name AS column_name FROM information_schema.check_constraints AS k" +
			" JOIN information_schema.columns AS c ON c.table_schema = k.constraint_schema AND c.table_name = k.table_name" +
			" WHERE k.constraint_schema = DATABASE() AND k.check_clause = CONCAT('json_valid(`', c.column_name, '`)')",
		indexes: "SELECT '' AS schema_name, table_name AS table_name, index_name AS index_name, index_name = 'PRIMARY' AS is_primary, sub_part IS NOT NULL AS partial, 0 AS is_deferred, coalesce(column_name, '') AS column_name" +
			" FROM information_schema.statistics WHERE table_schema = DATABASE() AND non_unique = 0" +
			" ORDER BY table_name, index_name <> 'PRIMARY', index_name, seq_in_index",
	},
	sqltext.SQLite: {
		// hidden: 1 is of a virtual table, 2 and 3 are computed. A shadow table is what a virtual
		// one keeps its own data in.
		columns: `SELECT '' AS schema_name, m.name AS table_name, 1 AS visible, m.type = 'view' AS is_view, 0 AS has_heirs, '' AS table_comment,
	p.name AS column_name, p.type AS declared, 0 AS is_array, '' AS column_comment, p."notnull" OR p.pk > 0 AS not_null,
	p.dflt_value IS NOT NULL AS has_default, p.hidden IN (2, 3) AS is_computed, 1 AS may_read
FROM sqlite_master AS m JOIN pragma_table_xinfo(m.name) AS p
WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND p.hidden <> 1
	AND m.name NOT IN ('hearth_watch', 'hearth_feed', 'hearth_kept', 'hearth_drain')
	AND m.name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow')
ORDER BY m.name, p.cid`,
		// A key INTEGER PRIMARY KEY has no index, so keys are taken from the columns.
		indexes: `SELECT * FROM (
	SELECT '' AS schema_name, m.name AS table_name, '' AS index_name, 1 AS is_primary, 0 AS partial, 0 AS is_deferred, p.name AS column_name, p.pk AS at, 0 AS many
	FROM sqlite_master AS m JOIN pragma_table_xinfo(m.name) AS p WHERE m.type = 'table' AND p.pk > 0
	UNION ALL
	SELECT '', m.name, l.name, 0, l.partial, 0, coalesce(x.name, ''), x.seqno, (SELECT count(*) FROM pragma_index_info(l.name))
	FROM sqlite_master AS m JOIN pragma_index_list(m.name) AS l JOIN pragma_index_info(l.name) AS x WHERE m.type = 'table' AND l."unique" AND l.origin <> 'pk')
ORDER BY table_name, is_primary DESC, many, index_name, at`,
	},
}
