import Glibc
import Leases
import Platform

// What other hosts ask of the holder of a lease, read from the storage: anybody may say that there is something.
extension SanlockDriver {
    /// Reads two sectors of each exclusive lease. The daemon passes on nothing that is asked of a shared one.
    public func demands(on leases: [HeldLease]) throws(LeaseFailure) -> [LeaseDemand] {
        var demands: [LeaseDemand] = []
        for lease in leases where lease.request.mode == .exclusive {
            let resource = lease.request.resource
            let bytes: [UInt8]
            do throws(SystemError) {
                bytes = try SharedFile.read(
                    resource.path, offset: Int64(clamping: resource.offsetBytes), count: RequestRecord.bytes)
            } catch {
                throw LeaseFailure(
                    error.number == EACCES ? .notPermitted : .storageFailed, request: lease.request,
                    detail: "lease file \(error.message)")
            }
            guard case .whole(let leader) = LeaseContent(bytes[...], isCutShort: false),
                leader.lockspace.hasSameBytes(as: resource.lockspace), leader.resource.hasSameBytes(as: resource.name),
                let record = RequestRecord(bytes[...], sectorBytes: leader.sectorBytes),
                record.version > lease.version ?? leader.version
            else { continue }
            demands.append(LeaseDemand(lease.request, version: record.version, mode: record.mode))
        }
        return demands
    }
}
