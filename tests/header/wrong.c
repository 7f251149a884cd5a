/* Programs that are wrong on purpose, one for each value of WRONG. tests/header.rs compiles each with the usual warnings and
 * compares what gcc and clang say with the table in docs/conventions.md. */

#include <kiosklink.h>

void give_the_goods(void);
void one_wrong_program(kl_client *client, const kl_door_request *request, kl_command **out, kl_error *err);

void one_wrong_program(kl_client *client, const kl_door_request *request, kl_command **out, kl_error *err) {
#if WRONG == 1 /* the outcome is not looked at */
  kl_door_open(client, request, out, err);
#elif WRONG == 2 /* `(void)` in front of the call */
  (void)kl_door_open(client, request, out, err);
#elif WRONG == 3 /* `if (kl_door_open(...))`: true for every outcome */
  if (kl_door_open(client, request, out, err)) give_the_goods();
#elif WRONG == 4 /* `== KL_OK`: never true */
  if (kl_door_open(client, request, out, err) == KL_OK) give_the_goods();
#elif WRONG == 5 /* the status is not looked at */
  kl_ping(client, err);
#elif WRONG == 6 /* a request of another function */
  if (kl_code_redeem(client, request, out, err) == KL_DONE) give_the_goods();
#elif WRONG == 7 /* another kind of handle */
  if (kl_door_open(*out, request, out, err) == KL_DONE) give_the_goods();
#elif WRONG == 8 /* a `switch` without `KL_UNKNOWN` and without a `default` */
  switch (kl_door_open(client, request, out, err)) {
    case KL_DONE: give_the_goods(); break;
    case KL_NOT_DONE: break;
  }
#elif WRONG == 9 /* a result is freed with `free()` */
  extern void free(void *);
  kl_orders *orders = 0;
  if (kl_order_get(client, 0, &orders, err) == KL_OK) free(orders);
#elif WRONG == 10 /* a borrowed struct is written to */
  ((void)client, (void)request, (void)err);
  kl_command_view(*out)->outcome = KL_DONE;
#else
#error WRONG is a number from 1 to 10
#endif
  ((void)client, (void)request, (void)out, (void)err);
}
