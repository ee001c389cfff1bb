// SPDX-License-Identifier: Apache-2.0
//
// Whatever brokers answer, and whenever they hang up: what is said to be written is in the log
// once, what is said not to be written is not in it and never will be, and nothing overtakes what
// was handed in before it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "wire/wire_producer.h"
#include "wire_brokers.h"

enum { STEP_MS = 1000, LONG_MS = 1000, TRANSACTIONAL = 0x10 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct wire_settings wire = {.servers = "bootstrap:100", .client_id = "test"};
static struct wire_producer *producer;
static int64_t now_ms; // of parcels; connections live in another time

static void keep(void) {
    struct error err;
    (void)wire_producer_keep(producer, STEP_MS, &err);
}

static int begin(void **state) {
    (void)state;
    const struct wire_producer_settings settings = {.wire = &wire,
                                                    .lock = &lock,
                                                    .timeout_ms = LONG_MS,
                                                    .topics = broker_topics,
                                                    .topics_count = TOPICS};
    struct error err;
    brokers_reset();
    now_ms = 1000;
    producer = wire_producer_new(&settings, &err);
    if (!producer || !wire_producer_keep(producer, STEP_MS, &err))
        return -1;
    return wire_producer_is_ready(producer) ? 0 : -1;
}

static int end(void **state) {
    (void)state;
    wire_producer_free(producer);
    brokers_done();
    return 0;
}

static void fill(struct wire_parcel *parcel, size_t topic, int32_t partition, int32_t mark,
                 int records, size_t size) {
    char *value = calloc(1, size);
    assert_non_null(value);
    memcpy(value, &mark, sizeof(mark));
    const struct wire_record record = {.value = value, .value_len = size};
    parcel->topic = topic;
    parcel->partition = partition;
    parcel->deadline_ms = now_ms + LONG_MS;
    wire_batch_reset(&parcel->batch);
    for (int i = 0; i < records; i++)
        wire_batch_append(&parcel->batch, &record, 0);
    free(value);
}

static void put(struct wire_parcel *parcel, int32_t partition, int32_t mark, int records) {
    fill(parcel, 0, partition, mark, records, sizeof(mark));
    wire_producer_put(producer, parcel);
    wire_producer_send(producer, now_ms);
}

static struct broker_request asked(int32_t broker) {
    struct broker_request request;
    assert_true(brokers_read(broker, &request));
    return request;
}

static bool nothing_asked(void) {
    struct broker_request request;
    return !brokers_read(1, &request) && !brokers_read(2, &request);
}

static void assert_over(struct wire_parcel *parcel, enum wire_fate fate) {
    wire_producer_serve(producer, now_ms);
    assert_ptr_equal(wire_producer_take(producer), parcel);
    assert_int_equal(parcel->fate, fate);
}

static void assert_not_over(void) {
    wire_producer_serve(producer, now_ms);
    assert_null(wire_producer_take(producer));
}

static void assert_same(const struct broker_request *one, const struct broker_request *other) {
    assert_int_equal(one->count, other->count);
    for (size_t i = 0; i < one->count; i++) {
        assert_int_equal(one->batches[i].partition, other->batches[i].partition);
        assert_int_equal(one->batches[i].crc, other->batches[i].crc);
    }
}

// ---- one thing at a time -----------------------------------------------------------------------

static void batches_are_numbered_and_acknowledged_by_all(void **state) {
    (void)state;
    struct wire_parcel parcel = {0};
    put(&parcel, 3, 1, 2);
    struct broker_request request = asked(1);
    assert_int_equal(request.acks, -1);
    assert_int_equal(request.count, 1);
    assert_int_equal(request.batches[0].partition, 3);
    assert_int_equal(request.batches[0].producer_id, PRODUCER_ID);
    assert_int_equal(request.batches[0].sequence, 0);
    assert_int_equal(request.batches[0].count, 2);
    assert_int_equal(request.batches[0].attributes & TRANSACTIONAL, 0);
    assert_not_over();
    brokers_answer(&request, 0);
    assert_over(&parcel, WIRE_WRITTEN);
    put(&parcel, 3, 2, 1);
    request = asked(1);
    assert_int_equal(request.batches[0].sequence, 2);
    assert_false(wire_producer_wants_keeping(producer, NULL));
    wire_batch_done(&parcel.batch);
}

static void what_there_is_for_a_broker_goes_in_one_request(void **state) {
    (void)state;
    struct wire_parcel parcels[4] = {{0}};
    for (int32_t i = 0; i < 4; i++) {
        fill(&parcels[i], (size_t)i % 2, i, i, 1, sizeof(i));
        wire_producer_put(producer, &parcels[i]);
    }
    wire_producer_send(producer, now_ms);
    const struct broker_request request = asked(1);
    assert_int_equal(request.count, 4);
    const int16_t codes[] = {0, 10, 0, 46}; // in the order of topics: 0, 2 and 1, 3
    brokers_answer_each(&request, codes);
    assert_over(&parcels[0], WIRE_WRITTEN);
    assert_over(&parcels[1], WIRE_WRITTEN);
    assert_over(&parcels[2], WIRE_NOT_WRITTEN);
    assert_over(&parcels[3], WIRE_WRITTEN);
    for (int i = 0; i < 4; i++)
        wire_batch_done(&parcels[i].batch);
}

static void what_is_refused_for_the_moment_goes_again_as_it_was(void **state) {
    (void)state;
    static const int16_t codes[] = {-1, 2, 3, 5, 6, 7, 13, 19, 20, 56, 89};
    struct wire_parcel parcel = {0};
    put(&parcel, 0, 1, 1);
    struct broker_request first = asked(1);
    brokers_answer(&first, codes[0]);
    for (size_t i = 1; i <= sizeof(codes) / sizeof(codes[0]); i++) {
        assert_not_over();
        assert_true(nothing_asked());
        assert_true(wire_producer_wants_keeping(producer, NULL));
        keep();
        const struct broker_request again = asked(1);
        assert_same(&first, &again);
        brokers_answer(&again, i < sizeof(codes) / sizeof(codes[0]) ? codes[i] : 0);
    }
    assert_over(&parcel, WIRE_WRITTEN);
    wire_batch_done(&parcel.batch);
}

static void after_a_lost_connection_it_goes_again_as_it_was(void **state) {
    (void)state;
    struct wire_parcel parcel = {0};
    put(&parcel, 0, 1, 1);
    const struct broker_request first = asked(1);
    brokers_hang_up(1);
    assert_not_over();
    struct error why;
    assert_true(wire_producer_wants_keeping(producer, &why));
    assert_int_equal(why.what, DISP_RETRY);
    keep();
    assert_int_equal(brokers_connected(1), 2);
    const struct broker_request again = asked(1);
    assert_same(&first, &again);
    brokers_answer(&again, 46); // DUPLICATE_SEQUENCE_NUMBER: it was written the first time
    assert_over(&parcel, WIRE_WRITTEN);
    wire_batch_done(&parcel.batch);
}

static void it_follows_the_leader(void **state) {
    (void)state;
    struct wire_parcel parcel = {0};
    put(&parcel, 0, 1, 1);
    struct broker_request first = asked(1);
    brokers_lead(0, 0, 2);
    brokers_answer(&first, 6); // NOT_LEADER_OR_FOLLOWER
    assert_not_over();
    keep();
    const struct broker_request again = asked(2);
    assert_same(&first, &again);
    brokers_answer(&again, 0);
    assert_over(&parcel, WIRE_WRITTEN);
    wire_batch_done(&parcel.batch);
}

static void one_that_hung_up_idle_is_connected_to_again(void **state) {
    (void)state;
    brokers_hang_up(1);
    assert_not_over();
    assert_true(wire_producer_wants_keeping(producer, NULL));
    keep();
    assert_false(wire_producer_wants_keeping(producer, NULL));
    struct wire_parcel parcel = {0};
    put(&parcel, 0, 1, 1);
    const struct broker_request request = asked(1);
    brokers_answer(&request, 0);
    assert_over(&parcel, WIRE_WRITTEN);
    wire_batch_done(&parcel.batch);
}

static void what_was_never_sent_is_not_written(void **state) {
    (void)state;
    struct wire_parcel parcel = {0};
    brokers_hang_up(1);
    brokers_refuse(1, true);
    assert_not_over();
    put(&parcel, 0, 1, 1);
    keep();
    now_ms += LONG_MS - 1;
    wire_producer_expire(producer, now_ms);
    assert_not_over();
    now_ms++;
    wire_producer_expire(producer, now_ms);
    assert_over(&parcel, WIRE_NOT_WRITTEN);
    brokers_refuse(1, false);
    keep();
    put(&parcel, 0, 2, 1);
    const struct broker_request request = asked(1);
    assert_int_equal(request.batches[0].epoch, 0);
    assert_int_equal(request.batches[0].sequence, 0);
    wire_batch_done(&parcel.batch);
}

static void what_was_refused_each_time_is_not_written(void **state) {
    (void)state;
    struct wire_parcel parcel = {0};
    put(&parcel, 0, 1, 1);
    struct broker_request request = asked(1);
    brokers_answer(&request, 19); // NOT_ENOUGH_REPLICAS
    assert_not_over();
    now_ms += LONG_MS;
    wire_producer_expire(producer, now_ms);
    assert_over(&parcel, WIRE_NOT_WRITTEN);
    wire_batch_done(&parcel.batch);
}

static void what_was_sent_without_an_answer_is_unknown_and_fenced(void **state) {
    (void)state;
    // The last two with an answer that leaves it open.
    for (int how = 0; how < 4; how++) {
        struct wire_parcel parcel = {0};
        put(&parcel, how, 0, 3);
        const struct broker_request before = asked(1);
        assert_int_equal(brokers_write(&before.batches[0]), 0);
        brokers_answer(&before, 0);
        assert_over(&parcel, WIRE_WRITTEN);
        put(&parcel, how, 1, 1);
        const struct broker_request request = asked(1);
        assert_int_equal(request.batches[0].sequence, 3);
        if (how == 1)
            brokers_hang_up(1);
        if (how >= 2)
            brokers_answer(&request, how == 2 ? 7 : 20);
        assert_not_over();
        now_ms += LONG_MS;
        wire_producer_expire(producer, now_ms);
        assert_over(&parcel, WIRE_UNKNOWN);
        keep();
        put(&parcel, how, 2, 1);
        const struct broker_request next = asked(1);
        assert_int_equal(next.batches[0].epoch, 1);
        assert_int_equal(next.batches[0].sequence, 0);
        assert_int_equal(brokers_write(&next.batches[0]), 0);
        assert_int_equal(brokers_write(&request.batches[0]), 47); // fenced
        brokers_answer(&next, 0);
        assert_over(&parcel, WIRE_WRITTEN);
        wire_batch_done(&parcel.batch);
    }
}

static void others_on_a_connection_that_is_given_up_go_again(void **state) {
    (void)state;
    struct wire_parcel late = {0}, other = {0};
    put(&late, 0, 1, 1);
    now_ms += LONG_MS / 2;
    put(&other, 1, 2, 1);
    (void)asked(1);
    const struct broker_request first = asked(1);
    now_ms += LONG_MS / 2;
    wire_producer_expire(producer, now_ms);
    assert_over(&late, WIRE_UNKNOWN);
    keep();
    const struct broker_request again = asked(1);
    assert_same(&first, &again);
    brokers_answer(&again, 0);
    assert_over(&other, WIRE_WRITTEN);
    wire_batch_done(&late.batch);
    wire_batch_done(&other.batch);
}

static void one_out_of_step_is_unknown_and_the_next_is_not(void **state) {
    (void)state;
    static const int16_t codes[] = {45, 47, 49, 59, 90};
    struct wire_parcel parcel = {0};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        put(&parcel, 0, 1, 1);
        const struct broker_request request = asked(1);
        assert_int_equal(request.batches[0].epoch, i);
        brokers_answer(&request, codes[i]);
        assert_over(&parcel, WIRE_UNKNOWN);
    }
    put(&parcel, 0, 2, 1);
    const struct broker_request request = asked(1);
    brokers_answer(&request, 0);
    assert_over(&parcel, WIRE_WRITTEN);
    wire_batch_done(&parcel.batch);
}

static void what_is_refused_for_good_is_not_written_unless_it_was_sent_before(void **state) {
    (void)state;
    struct wire_parcel parcel = {0};
    put(&parcel, 0, 1, 1);
    struct broker_request request = asked(1);
    brokers_answer(&request, 10); // MESSAGE_TOO_LARGE
    assert_over(&parcel, WIRE_NOT_WRITTEN);
    assert_int_equal(parcel.code, 10);
    put(&parcel, 0, 2, 1);
    request = asked(1);
    assert_int_equal(request.batches[0].epoch, 0);
    assert_int_equal(request.batches[0].sequence, 0);
    brokers_hang_up(1);
    assert_not_over();
    keep();
    request = asked(1);
    brokers_answer(&request, 29); // TOPIC_AUTHORIZATION_FAILED
    assert_over(&parcel, WIRE_UNKNOWN);
    wire_batch_done(&parcel.batch);
}

static void an_answer_that_cannot_be_read_is_none(void **state) {
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct wire_parcel parcel = {0};
        put(&parcel, how, 1, 1);
        struct broker_request request = asked(1);
        struct broker_request wrong = request;
        wrong.batches[0].partition = how == 1 ? PARTITIONS - 1 : how;
        wrong.correlation += how == 2;
        wrong.batches[1] = wrong.batches[0];
        wrong.count = how == 3 ? 2 : 1;
        if (how == 0)
            brokers_say(&wrong, "\x02", 1);
        else
            brokers_answer(&wrong, 0);
        assert_not_over();
        keep();
        const struct broker_request again = asked(1);
        assert_same(&request, &again);
        brokers_answer(&again, 0);
        assert_over(&parcel, WIRE_WRITTEN);
        wire_batch_done(&parcel.batch);
    }
}

static void no_more_requests_are_under_way_than_a_broker_remembers(void **state) {
    (void)state;
    struct wire_parcel parcels[6] = {{0}};
    struct broker_request requests[6];
    for (int32_t i = 0; i < 6; i++)
        put(&parcels[i], i, i, 1);
    for (int i = 0; i < 5; i++)
        requests[i] = asked(1);
    assert_true(nothing_asked());
    brokers_answer(&requests[0], 0);
    assert_over(&parcels[0], WIRE_WRITTEN);
    requests[5] = asked(1);
    for (int i = 1; i < 6; i++) {
        brokers_answer(&requests[i], 0);
        assert_over(&parcels[i], WIRE_WRITTEN);
    }
    for (int i = 0; i < 6; i++)
        wire_batch_done(&parcels[i].batch);
}

static void what_does_not_fit_into_the_socket_goes_when_there_is_room(void **state) {
    (void)state;
    struct wire_parcel parcels[2] = {{0}};
    struct broker_request request;
    for (int32_t i = 0; i < 2; i++) {
        fill(&parcels[i], 0, i, i, 9, 100000);
        wire_producer_put(producer, &parcels[i]);
        wire_producer_send(producer, now_ms);
    }
    for (int32_t i = 0; i < 2; i++) {
        for (int turns = 0; !brokers_read(1, &request); turns++) {
            assert_true(turns < 1000);
            wire_producer_serve(producer, now_ms);
        }
        assert_int_equal(request.batches[0].mark, i);
        assert_int_equal(request.batches[0].count, 9);
        brokers_answer(&request, 0);
    }
    assert_over(&parcels[0], WIRE_WRITTEN);
    assert_over(&parcels[1], WIRE_WRITTEN);
    wire_batch_done(&parcels[0].batch);
    wire_batch_done(&parcels[1].batch);
}

static void a_partition_without_epochs_says_so(void **state) {
    (void)state;
    struct wire_parcel parcel = {0};
    for (int i = 0; i <= INT16_MAX; i++) {
        assert_false(wire_producer_is_worn(producer));
        put(&parcel, 0, 1, 1);
        const struct broker_request request = asked(1);
        assert_int_equal(request.batches[0].epoch, i);
        brokers_answer(&request, 45);
        assert_over(&parcel, WIRE_UNKNOWN);
    }
    assert_true(wire_producer_is_worn(producer));
    wire_batch_done(&parcel.batch);
}

// ---- everything at once ------------------------------------------------------------------------

enum { STORIES = 300, STEPS = 400, UNDER_WAY_MAX = 4, MARKS_MAX = STEPS };

static uint64_t dice;

static uint32_t roll(uint32_t sides) {
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(dice >> 33) % sides;
}

struct told {
    size_t topic;
    int32_t partition;
    enum wire_fate fate;
    bool is_known;
    bool in_log_when_told;
};

struct story {
    struct wire_parcel parcels[UNDER_WAY_MAX];
    int32_t marks[UNDER_WAY_MAX];
    bool under_way[UNDER_WAY_MAX];
    struct told told[MARKS_MAX];
    int32_t count;
};

static void order_something(struct story *story) {
    for (int i = 0; i < UNDER_WAY_MAX; i++) {
        if (story->under_way[i])
            continue;
        struct told *told = &story->told[story->count];
        *told = (struct told){.topic = roll(TOPICS), .partition = (int32_t)roll(2)};
        for (int j = 0; j < UNDER_WAY_MAX; j++)
            if (story->under_way[j] && story->parcels[j].topic == told->topic &&
                story->parcels[j].partition == told->partition)
                return;
        story->under_way[i] = true;
        story->marks[i] = story->count++;
        fill(&story->parcels[i], told->topic, told->partition, story->marks[i], 1 + (int)roll(3),
             sizeof(int32_t));
        wire_producer_put(producer, &story->parcels[i]);
        if (roll(2))
            wire_producer_send(producer, now_ms);
        return;
    }
}

// Reads a request and writes what it wants to, or refuses, or leaves the other side in the dark.
static void let_a_broker_work(int32_t broker) {
    static const int16_t refusals[] = {19, 2, 89};
    static const int16_t doubts[] = {6, 7, 20, 56, -1};
    struct broker_request request;
    int16_t codes[REQUEST_BATCHES_MAX];
    if (!brokers_read(broker, &request))
        return;
    for (size_t i = 0; i < request.count; i++) {
        switch (roll(6)) {
        case 0:
            codes[i] = refusals[roll(3)];
            break;
        case 1:
            (void)brokers_write(&request.batches[i]);
            codes[i] = doubts[roll(5)];
            break;
        case 2:
            codes[i] = doubts[roll(5)];
            break;
        default:
            codes[i] = brokers_write(&request.batches[i]);
        }
    }
    switch (roll(8)) {
    case 0:
        brokers_hang_up(broker); // with whatever else was sent, unread
        break;
    case 1:
        brokers_say(&request, "\x00\x01", 2);
        break;
    default:
        brokers_answer_each(&request, codes);
    }
}

static void listen_to(struct story *story) {
    wire_producer_serve(producer, now_ms);
    for (struct wire_parcel *parcel; (parcel = wire_producer_take(producer));) {
        const ptrdiff_t i = parcel - story->parcels;
        struct told *told = &story->told[story->marks[i]];
        assert_true(story->under_way[i]);
        story->under_way[i] = false;
        told->fate = parcel->fate;
        told->is_known = true;
        told->in_log_when_told = brokers_have(told->topic, told->partition, story->marks[i]) > 0;
    }
}

static bool is_idle(const struct story *story) {
    for (int i = 0; i < UNDER_WAY_MAX; i++)
        if (story->under_way[i])
            return false;
    return true;
}

static void take_a_step(struct story *story) {
    switch (roll(9)) {
    case 0:
    case 1:
    case 2:
        order_something(story);
        break;
    case 3:
        keep();
        break;
    case 4:
        brokers_lead(roll(TOPICS), (int32_t)roll(2), 1 + (int32_t)roll(BROKERS));
        break;
    case 5:
        now_ms += roll(LONG_MS / 4);
        wire_producer_expire(producer, now_ms);
        break;
    default:
        let_a_broker_work(1 + (int32_t)roll(BROKERS));
    }
    listen_to(story);
}

static void check(const struct story *story) {
    for (int32_t mark = 0; mark < story->count; mark++) {
        const struct told *told = &story->told[mark];
        const int found = brokers_have(told->topic, told->partition, mark);
        assert_true(told->is_known);
        assert_true(found <= 1);
        if (told->fate == WIRE_WRITTEN)
            assert_true(found == 1 && told->in_log_when_told);
        if (told->fate == WIRE_NOT_WRITTEN)
            assert_int_equal(found, 0);
    }
    for (size_t topic = 0; topic < TOPICS; topic++)
        for (int32_t p = 0; p < 2; p++)
            assert_true(brokers_are_in_order(topic, p));
}

static void whatever_happens_nobody_is_told_a_lie(void **state) {
    static struct story story;
    const char *given = getenv("ORDERLOG_TEST_SEED");
    const uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)(uintptr_t)&state;
    int fates[3] = {0};
    print_message("seed %llu\n", (unsigned long long)seed);
    for (uint64_t number = 0; number < STORIES; number++) {
        dice = seed + number;
        memset(&story, 0, sizeof(story));
        (void)end(state);
        assert_int_equal(begin(state), 0);
        for (int step = 0; step < STEPS; step++)
            take_a_step(&story);
        for (int more = 0; !is_idle(&story); more++) {
            assert_true(more < 20);
            now_ms += LONG_MS / 4;
            wire_producer_expire(producer, now_ms);
            listen_to(&story);
        }
        // What brokers have not read yet they write now.
        struct broker_request request;
        for (int32_t broker = 1; broker <= BROKERS; broker++)
            while (brokers_read(broker, &request))
                for (size_t i = 0; i < request.count; i++)
                    (void)brokers_write(&request.batches[i]);
        check(&story);
        for (int32_t mark = 0; mark < story.count; mark++)
            fates[story.told[mark].fate]++;
        for (int i = 0; i < UNDER_WAY_MAX; i++)
            wire_batch_done(&story.parcels[i].batch);
    }
    print_message("%d written, %d not written, %d unknown\n", fates[WIRE_WRITTEN],
                  fates[WIRE_NOT_WRITTEN], fates[WIRE_UNKNOWN]);
    assert_true(fates[WIRE_WRITTEN] > STORIES && fates[WIRE_NOT_WRITTEN] > STORIES / 10 &&
                fates[WIRE_UNKNOWN] > STORIES);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(batches_are_numbered_and_acknowledged_by_all),
        TEST(what_there_is_for_a_broker_goes_in_one_request),
        TEST(what_is_refused_for_the_moment_goes_again_as_it_was),
        TEST(after_a_lost_connection_it_goes_again_as_it_was),
        TEST(it_follows_the_leader),
        TEST(one_that_hung_up_idle_is_connected_to_again),
        TEST(what_was_never_sent_is_not_written),
        TEST(what_was_refused_each_time_is_not_written),
        TEST(what_was_sent_without_an_answer_is_unknown_and_fenced),
        TEST(others_on_a_connection_that_is_given_up_go_again),
        TEST(one_out_of_step_is_unknown_and_the_next_is_not),
        TEST(what_is_refused_for_good_is_not_written_unless_it_was_sent_before),
        TEST(an_answer_that_cannot_be_read_is_none),
        TEST(no_more_requests_are_under_way_than_a_broker_remembers),
        TEST(what_does_not_fit_into_the_socket_goes_when_there_is_room),
        TEST(a_partition_without_epochs_says_so),
        TEST(whatever_happens_nobody_is_told_a_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
