DELETE FROM import_rejections WHERE import_id = $1
