import CSanlock
import Leases

/// Resources as libsanlock's calls take them: a list of pointers, each to a header with one disk behind it.
final class ResourceArguments {
    private static let bytesEach = MemoryLayout<sanlk_resource>.size + MemoryLayout<sanlk_disk>.size
    private var pointers: [UnsafeMutablePointer<sanlk_resource>?]

    /// Leases that are to be had only under the versions that they had before; where one has none, unchecked.
    convenience init(_ leases: some Collection<HeldLease>) {
        self.init(leases.map(\.request))
        for (pointer, lease) in zip(pointers, leases) {
            guard let pointer, let version = lease.version else { continue }
            pointer.pointee.flags |= UInt32(SANLK_RES_LVER)
            pointer.pointee.lver = version
        }
    }

    /// - Parameter hosts: a new number of hosts for the lease to have slots for; nil leaves it.
    init(_ requests: some Sequence<LeaseRequest>, hosts: UInt32? = nil) {
        pointers = requests.map { request in
            let memory = UnsafeMutableRawPointer.allocate(
                byteCount: ResourceArguments.bytesEach, alignment: MemoryLayout<sanlk_resource>.alignment)
            memory.initializeMemory(as: UInt8.self, repeating: 0, count: ResourceArguments.bytesEach)
            let resource = memory.bindMemory(to: sanlk_resource.self, capacity: 1)
            fill(&resource.pointee.lockspace_name, with: request.resource.lockspace)
            fill(&resource.pointee.name, with: request.resource.name)
            resource.pointee.flags = request.mode == .shared ? UInt32(SANLK_RES_SHARED) : 0
            if let hosts {
                resource.pointee.flags |= UInt32(SANLK_RES_NUM_HOSTS)
                resource.pointee.data32 = hosts
            }
            resource.pointee.num_disks = 1
            let disk = ResourceArguments.disk(of: resource)
            // The last byte stays NUL.
            fill(&disk.pointee.path, with: String(decoding: request.resource.path.utf8.prefix(1023), as: UTF8.self))
            disk.pointee.offset = request.resource.offsetBytes
            return resource
        }
    }

    deinit {
        for pointer in pointers { UnsafeMutableRawPointer(pointer)?.deallocate() }
    }

    func withPointers<Result>(
        _ body: (UnsafeMutableBufferPointer<UnsafeMutablePointer<sanlk_resource>?>) -> Result
    ) -> Result {
        pointers.withUnsafeMutableBufferPointer { body($0) }
    }

    private static func disk(of resource: UnsafeMutablePointer<sanlk_resource>) -> UnsafeMutablePointer<sanlk_disk> {
        (UnsafeMutableRawPointer(resource) + MemoryLayout<sanlk_resource>.size)
            .assumingMemoryBound(to: sanlk_disk.self)
    }
}
