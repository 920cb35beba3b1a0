foreach(name text units containers ring budget fs log_metrics hash error)
    spangate_unit(base/${name} DEPENDS base)
endforeach()
