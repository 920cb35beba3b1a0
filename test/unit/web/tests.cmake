spangate_unit(web/web DEPENDS web)
