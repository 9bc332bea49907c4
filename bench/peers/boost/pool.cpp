// Boost.Interprocess: a buffer from a managed segment of shared memory and back, by one process or by
// several. It is an allocator for any size and keeps a lock. Argument: "acquire" or "contend".

#include <boost/interprocess/managed_shared_memory.hpp>
#include <cstring>
#include <string>

#include "../../c/contend.h"

namespace ipc = boost::interprocess;

static const std::size_t size = 4096;

static void allocate(void *context, long count) {
    auto *segment = static_cast<ipc::managed_shared_memory *>(context);
    for (long i = 0; i < count; i++) {
        auto *bytes = static_cast<volatile unsigned char *>(segment->allocate(size));
        bytes[0] = static_cast<unsigned char>(i);
        segment->deallocate(const_cast<unsigned char *>(bytes));
    }
}

static void *open(void *context) {
    return new ipc::managed_shared_memory(ipc::open_only, static_cast<const char *>(context));
}

int main(int argc, char **argv) {
    const std::string name = "bench.boost." + std::to_string(getpid());
    ipc::managed_shared_memory segment(ipc::create_only, name.c_str(), 64 * 2 * size);
    if (argc > 1 && std::strcmp(argv[1], "contend") == 0) {
        const contender many = {allocate, open, const_cast<char *>(name.c_str()), 0, 500};
        contend(&many);
    } else {
        std::printf("{\"ns\": %.3f}\n", measure(allocate, &segment));
    }
    ipc::shared_memory_object::remove(name.c_str());
    return 0;
}
