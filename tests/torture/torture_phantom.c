/* Every allocation of a synthetic patient fails once: its shapes, its voxels, a slice's scratch,
 * its label table and its truth; CT with metal and stenosis, and MR with metal. */
#include "fabrica/phantom.h"
#include "harness.h"

static fab_status whole(void *ctx)
{
    fab_error err = {0};
    fab_phantom p = {0};
    fab_status status = fab_phantom_make(ctx, &p, &err);
    CHECK((status == FAB_OK) == (p.image != NULL) && (status == FAB_OK) == (p.truth != NULL));
    CHECK(status == FAB_OK || err.message[0]);
    fab_phantom_free(&p);
    return status;
}

static fab_phantom_options tiny(fab_phantom_modality modality)
{
    fab_phantom_options o;
    fab_phantom_options_default(&o);
    o.modality = modality;
    o.metal = true, o.stenosis = 0.5, o.female = modality != FAB_PHANTOM_CT;
    o.spacing_mm[0] = o.spacing_mm[1] = o.spacing_mm[2] = 20;
    o.range_mm[0] = 0, o.range_mm[1] = 40;
    o.fov_mm[0] = o.fov_mm[1] = 100;
    return o;
}

static void ct(void)
{
    fab_phantom_options o = tiny(FAB_PHANTOM_CT);
    fab_test_torture(whole, &o);
}

static void mr(void)
{
    fab_phantom_options o = tiny(FAB_PHANTOM_MR_T2);
    fab_test_torture(whole, &o);
}

int main(void)
{
    fab_threads_set(2);
    return FAB_RUN(TEST(ct), TEST(mr));
}
