#include "output.h"

#include <assert.h>
#include <string.h>

#include "arrow.h"
#include "core/memory.h"

/* Smaller pieces are copied: a piece is a system call, and these make them few. */
enum { LENT_BYTES_MIN = 16 * 1024 };

/* --- bytes to the file -------------------------------------------------------------------- */

static bool table_output_add(struct table_output *output, const void *bytes, size_t size_bytes,
                             struct err *err) {
    output->size_bytes += size_bytes;
    return buffer_append(&output->pending, (struct text){bytes, size_bytes}, err);
}

static bool table_output_pad(struct table_output *output, struct err *err) {
    static const char zeros[ARROW_ALIGN_BYTES];
    uint64_t padded = arrow_padded(output->size_bytes);
    return table_output_add(output, zeros, (size_t)(padded - output->size_bytes), err);
}

/* Adds output->message with its prefix, padded; *message_bytes is the length of all that. */
static bool table_output_message(struct table_output *output, size_t *message_bytes,
                                 struct err *err) {
    struct text message = buffer_text(&output->message);
    uint64_t start = output->size_bytes;
    uint64_t end = arrow_padded(start + ARROW_PREFIX_BYTES + message.size_bytes);
    *message_bytes = (size_t)(end - start);
    uint32_t prefix[2] = {ARROW_CONTINUATION, (uint32_t)(*message_bytes - ARROW_PREFIX_BYTES)};
    return table_output_add(output, prefix, sizeof prefix, err) &&
           table_output_add(output, message.bytes, message.size_bytes, err) &&
           table_output_pad(output, err);
}

/* --- messages ----------------------------------------------------------------------------- */

/* Begins output->message; *header is where the header's offset goes. */
static struct flat_builder table_message_start(struct table_output *output, enum arrow_header type,
                                               uint64_t body_bytes, size_t *header,
                                               struct err *err) {
    static const uint8_t sizes_bytes[] = {
        [ARROW_MESSAGE_VERSION] = 2,
        [ARROW_MESSAGE_HEADER_TYPE] = 1,
        [ARROW_MESSAGE_HEADER] = FLAT_OFFSET_BYTES,
        [ARROW_MESSAGE_BODY_LENGTH] = 8,
    };
    struct flat_builder flat = flat_builder_start(&output->message, err);
    size_t fields[sizeof sizes_bytes];
    flat_link(&flat, 0, flat_add_table(&flat, sizes_bytes, sizeof sizes_bytes, fields));
    flat_set_u16(&flat, fields[ARROW_MESSAGE_VERSION], ARROW_VERSION_V5);
    flat_set_u8(&flat, fields[ARROW_MESSAGE_HEADER_TYPE], (uint8_t)type);
    flat_set_u64(&flat, fields[ARROW_MESSAGE_BODY_LENGTH], body_bytes);
    *header = fields[ARROW_MESSAGE_HEADER];
    return flat;
}

static void table_link_schema(struct flat_builder *flat, size_t field,
                              const struct table_output *output) {
    size_t part = flat_add_bytes(flat, buffer_text(&output->schema_part));
    flat_link(flat, field, part + output->schema_table);
}

static bool table_add_head(struct table_output *output, struct err *err) {
    static const char magic[ARROW_HEAD_BYTES] = ARROW_MAGIC;
    size_t header;
    size_t message_bytes;
    struct flat_builder flat = table_message_start(output, ARROW_HEADER_SCHEMA, 0, &header, err);
    table_link_schema(&flat, header, output);
    return flat_builder_finish(&flat) && table_output_add(output, magic, sizeof magic, err) &&
           table_output_message(output, &message_bytes, err);
}

static bool table_add_footer(struct table_output *output, struct err *err) {
    static const uint32_t end_mark[2] = {ARROW_CONTINUATION, 0};
    static const uint8_t sizes_bytes[] = {
        [ARROW_FOOTER_VERSION] = 2,
        [ARROW_FOOTER_SCHEMA] = FLAT_OFFSET_BYTES,
        [ARROW_FOOTER_DICTIONARIES] = FLAT_OFFSET_BYTES,
        [ARROW_FOOTER_BATCHES] = FLAT_OFFSET_BYTES,
    };
    struct flat_builder flat = flat_builder_start(&output->message, err);
    size_t fields[sizeof sizes_bytes];
    flat_link(&flat, 0, flat_add_table(&flat, sizes_bytes, sizeof sizes_bytes, fields));
    flat_set_u16(&flat, fields[ARROW_FOOTER_VERSION], ARROW_VERSION_V5);
    table_link_schema(&flat, fields[ARROW_FOOTER_SCHEMA], output);
    size_t elements;
    struct flat_elements blocks = {.size_bytes = ARROW_BLOCK_BYTES, .align_bytes = 8};
    flat_link(&flat, fields[ARROW_FOOTER_DICTIONARIES], flat_add_vector(&flat, blocks, &elements));
    blocks.count = output->blocks.size_bytes / ARROW_BLOCK_BYTES;
    flat_link(&flat, fields[ARROW_FOOTER_BATCHES], flat_add_vector(&flat, blocks, &elements));
    for (size_t offset = 0; offset < output->blocks.size_bytes; offset += 8) {
        uint64_t word;
        memcpy(&word, output->blocks.bytes + offset, sizeof word);
        flat_set_u64(&flat, elements + offset, word);
    }
    if (!flat_builder_finish(&flat)) {
        return false;
    }
    struct text footer = buffer_text(&output->message);
    uint32_t footer_bytes = (uint32_t)footer.size_bytes;
    return table_output_add(output, end_mark, sizeof end_mark, err) &&
           table_output_add(output, footer.bytes, footer.size_bytes, err) &&
           table_output_add(output, &footer_bytes, sizeof footer_bytes, err) &&
           table_output_add(output, ARROW_MAGIC, ARROW_MAGIC_BYTES, err);
}

static bool table_build_batch(struct table_output *output, const struct table_parts *parts,
                              uint64_t *body_bytes, struct err *err) {
    *body_bytes = 0;
    for (size_t index = 0; index < parts->pieces_count; index++) {
        *body_bytes += arrow_padded(parts->pieces[index].size_bytes);
    }
    static const uint8_t sizes_bytes[] = {
        [ARROW_BATCH_LENGTH] = 8,
        [ARROW_BATCH_NODES] = FLAT_OFFSET_BYTES,
        [ARROW_BATCH_BUFFERS] = FLAT_OFFSET_BYTES,
    };
    size_t header;
    size_t fields[sizeof sizes_bytes];
    struct flat_builder flat =
        table_message_start(output, ARROW_HEADER_RECORD_BATCH, *body_bytes, &header, err);
    flat_link(&flat, header, flat_add_table(&flat, sizes_bytes, sizeof sizes_bytes, fields));
    flat_set_u64(&flat, fields[ARROW_BATCH_LENGTH], parts->rows_count);

    size_t element;
    struct flat_elements nodes = {output->schema->columns_count, ARROW_NODE_BYTES, 8};
    flat_link(&flat, fields[ARROW_BATCH_NODES], flat_add_vector(&flat, nodes, &element));
    for (size_t index = 0; index < nodes.count; index++, element += ARROW_NODE_BYTES) {
        flat_set_u64(&flat, element, parts->rows_count);
        flat_set_u64(&flat, element + 8, parts->nulls_counts[index]);
    }
    struct flat_elements buffers = {parts->pieces_count, ARROW_BUFFER_BYTES, 8};
    flat_link(&flat, fields[ARROW_BATCH_BUFFERS], flat_add_vector(&flat, buffers, &element));
    uint64_t offset = 0;
    for (size_t index = 0; index < parts->pieces_count; index++, element += ARROW_BUFFER_BYTES) {
        flat_set_u64(&flat, element, offset);
        flat_set_u64(&flat, element + 8, parts->pieces[index].size_bytes);
        offset += arrow_padded(parts->pieces[index].size_bytes);
    }
    return flat_builder_finish(&flat);
}

/* --- a batch ------------------------------------------------------------------------------ */

/* What goes to the saver in order: stretches of pending, and large pieces between them. */
struct route {
    struct saver_piece pieces[SAVER_PIECES_MAX];
    size_t pieces_count;
    size_t routed_bytes; /* of pending */
};

_Static_assert(2 * TABLE_BUFFERS_MAX + 1 <= SAVER_PIECES_MAX,
               "every buffer of a batch may be large, with padding behind it");

static void route_pending(struct route *route, const struct table_output *output) {
    size_t more_bytes = output->pending.size_bytes - route->routed_bytes;
    if (more_bytes > 0) {
        route->pieces[route->pieces_count++] = (struct saver_piece){.size_bytes = more_bytes};
        route->routed_bytes += more_bytes;
    }
}

/* Small pieces are copied, and freed if they are the last; large ones are routed. */
static bool route_piece(struct route *route, struct table_output *output,
                        const struct table_piece *piece, bool is_last, struct err *err) {
    if (piece->size_bytes < LENT_BYTES_MIN) {
        bool is_added = table_output_add(output, piece->bytes, piece->size_bytes, err);
        if (is_last) {
            mem_free(piece->bytes);
        }
        return is_added && table_output_pad(output, err);
    }
    route_pending(route, output);
    route->pieces[route->pieces_count++] = (struct saver_piece){
        .lent = is_last ? NULL : piece->bytes,
        .given = is_last ? piece->bytes : NULL,
        .size_bytes = piece->size_bytes,
    };
    output->size_bytes += piece->size_bytes;
    return table_output_pad(output, err);
}

/* Frees what did not get as far as the saver. */
static void route_abandon(const struct route *route, const struct table_parts *parts,
                          size_t pieces_taken) {
    for (size_t index = 0; index < route->pieces_count; index++) {
        mem_free(route->pieces[index].given);
    }
    for (size_t index = pieces_taken; parts->is_last && index < parts->pieces_count; index++) {
        mem_free(parts->pieces[index].bytes);
    }
}

static bool table_output_body(struct table_output *output, const struct table_parts *parts,
                              bool *is_routed, struct err *err) {
    struct route route;
    route.pieces_count = 0;
    route.routed_bytes = 0;
    for (size_t index = 0; index < parts->pieces_count; index++) {
        if (!route_piece(&route, output, &parts->pieces[index], parts->is_last, err)) {
            route_abandon(&route, parts, index + 1);
            return false;
        }
    }
    *is_routed = route.pieces_count > 0;
    if (!*is_routed) {
        return output->pending.size_bytes < SAVER_BUFFER_BYTES ||
               saver_give(output->saver, &output->pending, err);
    }
    route_pending(&route, output);
    return saver_give_pieces(output->saver, &output->pending, route.pieces, route.pieces_count,
                             err);
}

bool table_output_batch(struct table_output *output, const struct table_parts *parts,
                        bool *is_routed, struct err *err) {
    uint64_t body_bytes;
    size_t message_bytes;
    uint64_t start = output->size_bytes;
    assert(start % ARROW_ALIGN_BYTES == 0);
    if (!table_build_batch(output, parts, &body_bytes, err) ||
        !table_output_message(output, &message_bytes, err)) {
        route_abandon(&(const struct route){.pieces_count = 0}, parts, 0);
        return false;
    }
    uint64_t block[ARROW_BLOCK_BYTES / 8] = {start, message_bytes, body_bytes};
    struct text block_text = {.bytes = (const char *)block, .size_bytes = sizeof block};
    if (!table_output_body(output, parts, is_routed, err)) {
        return false;
    }
    assert(output->size_bytes == start + message_bytes + body_bytes);
    return buffer_append(&output->blocks, block_text, err);
}

void table_output_settle(struct table_output *output) {
    saver_settle(output->saver);
}

/* --- life --------------------------------------------------------------------------------- */

bool table_output_open(struct table_output *output, const struct sys *sys, const char *path,
                       const struct table_metadata *metadata, size_t metadata_count,
                       struct err *err) {
    return arrow_build_schema(output->schema, metadata, metadata_count, &output->schema_part,
                              &output->schema_table, err) &&
           saver_create(sys, path, &output->saver, err) && table_add_head(output, err);
}

bool table_output_end(struct table_output *output, struct err *err) {
    if (!table_add_footer(output, err) || !saver_give(output->saver, &output->pending, err)) {
        return false;
    }
    saver_end(output->saver);
    buffer_release(&output->pending);
    return true;
}

void table_output_release(struct table_output *output) {
    saver_destroy(output->saver);
    buffer_release(&output->pending);
    buffer_release(&output->message);
    buffer_release(&output->blocks);
    buffer_release(&output->schema_part);
}

bool table_output_digest(struct table_output *output, struct digest *digest, struct err *err) {
    return saver_digest(output->saver, digest, err);
}

bool table_output_leave(struct table_output *output, struct err *err) {
    struct saver *saver = output->saver;
    output->saver = NULL;
    return saver_leave(saver, err);
}

bool table_output_is_left(struct table_output *output) {
    return saver_is_left(output->saver);
}

bool table_output_finish(struct table_output *output, struct digest *digest, struct err *err) {
    struct saver *saver = output->saver;
    output->saver = NULL;
    return saver_finish(saver, digest, err);
}
