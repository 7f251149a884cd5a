/* twice: kiosklink, and another library that was made of the same crates with all of its names global, in one program.
 * scripts/arm makes the other one by renaming our functions in the archive as rustc left it. */

#include <kiosklink.h>
#include <string.h>

const char *other_kl_version(void);
kl_status other_kl_config_new(const char *platform, kl_config **out, kl_error *err);
kl_status other_kl_client_new(const kl_config *config, kl_client **out, kl_error *err);
void other_kl_config_free(kl_config *config);
kl_status other_kl_ping(kl_client *client, kl_error *err);

int main(void) {
  kl_config *config = NULL, *other = NULL;
  int same = strcmp(kl_version(), other_kl_version()) == 0;
  int made = kl_config_new("yopoint", &config, NULL) == KL_OK && other_kl_config_new("yopoint", &other, NULL) == KL_OK;
  int apart = kl_ping(NULL, NULL) == KL_E_NULL && other_kl_ping(NULL, NULL) == KL_E_NULL &&
              other_kl_client_new(NULL, NULL, NULL) == KL_E_NULL;
  /* A handle of the one means nothing to the other, although both are the first of their kind. */
  kl_client *client = NULL;
  int foreign = kl_client_new(other, &client, NULL) == KL_E_HANDLE && other_kl_client_new(config, &client, NULL) == KL_E_HANDLE;
  kl_config_free(config);
  other_kl_config_free(other);
  return same && made && apart && foreign ? 0 : 1;
}
