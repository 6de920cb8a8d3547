import Foundation

/// What glibc has beyond POSIX, which Swift's module of it leaves out (it is built without `_GNU_SOURCE`).
enum GNU {
    typealias Actions = UnsafeMutablePointer<posix_spawn_file_actions_t>
    /// POSIX_SPAWN_SETSID of `spawn.h`.
    static let setSession: Int32 = 0x80

    static func addCloseFrom(_ actions: Actions, _ first: Int32) throws -> Int32 {
        let symbol = try find("posix_spawn_file_actions_addclosefrom_np")
        return unsafeBitCast(symbol, to: (@convention(c) (Actions, Int32) -> Int32).self)(actions, first)
    }

    static func addChangeDirectory(_ actions: Actions, _ path: String) throws -> Int32 {
        let symbol = try find("posix_spawn_file_actions_addchdir_np")
        let add = unsafeBitCast(symbol, to: (@convention(c) (Actions, UnsafePointer<CChar>) -> Int32).self)
        return path.withCString { add(actions, $0) }
    }

    static func pipe(_ ends: UnsafeMutablePointer<Int32>, _ flags: Int32) throws -> Int32 {
        unsafeBitCast(
            try find("pipe2"), to: (@convention(c) (UnsafeMutablePointer<Int32>, Int32) -> Int32).self)(ends, flags)
    }

    private static func find(_ name: String) throws -> UnsafeMutableRawPointer {
        guard let symbol = dlsym(nil, name) else { throw TestFailure("this C library has no \(name)") }
        return symbol
    }
}
