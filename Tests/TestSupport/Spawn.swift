import Foundation

/// Starts a program with exactly these descriptors, an empty signal mask and every signal at its default.
///
/// Foundation's `Process` hands down what it happens to have; a test of transparency needs to know.
func spawn(
    path: String, arguments: [String], environment: [String], descriptors: [Int32: Int32], directory: String? = nil,
    newSession: Bool = false
) throws -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }

    // Copies above every wanted number first, so that no dup2 overwrites the source of a later one.
    let highest = max(descriptors.keys.max() ?? 2, 2)
    var copies: [Int32] = []
    defer { for copy in copies { close(copy) } }
    for number in 0...highest {
        guard let source = descriptors[number] else {
            posix_spawn_file_actions_addclose(&actions, number)
            continue
        }
        let copy = fcntl(source, F_DUPFD_CLOEXEC, highest + 1)
        guard copy >= 0 else { throw systemError("can't pass descriptor \(source) as \(number)") }
        copies.append(copy)
        posix_spawn_file_actions_adddup2(&actions, copy, number)
    }
    _ = try GNU.addCloseFrom(&actions, highest + 1)
    if let directory { _ = try GNU.addChangeDirectory(&actions, directory) }

    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    // Not sigfillset: it leaves out 32 and 33, and glibc would then start the program with these two ignored.
    _ = withUnsafeMutableBytes(of: &all) { $0.initializeMemory(as: UInt8.self, repeating: 0xff) }
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    var flags = Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF)
    if newSession { flags |= GNU.setSession }
    posix_spawnattr_setflags(&attributes, Int16(flags))

    let argumentPointers = arguments.map { strdup($0) } + [nil]
    let environmentPointers = environment.map { strdup($0) } + [nil]
    defer { for pointer in argumentPointers + environmentPointers { free(pointer) } }
    var pid: pid_t = 0
    let result = posix_spawnp(&pid, path, &actions, &attributes, argumentPointers, environmentPointers)
    guard result == 0 else {
        throw systemError("can't start \(path)\(directory.map { " in \($0)" } ?? "")", result)
    }
    return pid
}
